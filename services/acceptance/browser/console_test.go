//go:build e2e

package browser_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// TestConsoleAsPeopleUseIt is one installation and one journey: each step begins where the one before has led.
func TestConsoleAsPeopleUseIt(t *testing.T) {
	s := newStack(t)
	s.onboard("acme", 3000)
	s.onboard("globex", 30)
	operator := newBrowser(t)

	t.Run("an API token signs in", func(t *testing.T) {
		operator.open(s.console + "/sign-in")
		operator.run(chromedp.SendKeys(chromedp.CSS("input[name=token]"), s.token("admin")))
		operator.press("main form button")
		operator.see("Customers")
		require.Contains(t, operator.at(), "/customers")
	})
	t.Run("the bar of a running backfill moves by itself", func(t *testing.T) {
		operator.open(s.console + "/customers/acme")
		s.await("the bar is there", func() bool {
			return value[int](operator, `document.querySelectorAll("progress").length`) > 0 || isReloaded(operator)
		})
		const done = `document.querySelector("progress") ? document.querySelector("progress").value : -1`
		first := value[float64](operator, done)
		require.Eventually(t, func() bool { return value[float64](operator, done) > first }, soon, 200*time.Millisecond, "it moves without a load of the page")
	})
	t.Run("a customer's link shows no other customer", func(t *testing.T) {
		customer := operator.another()
		customer.open(s.link("globex"))
		require.Equal(t, s.console+"/customers/globex", customer.at(), "the link's token is gone from the address")
		require.Contains(t, customer.main(), "globex")
		customer.open(s.console + "/customers/acme")
		require.Contains(t, customer.main(), "Not found")
		customer.open(s.console + "/letters?customer=acme")
		require.NotContains(t, customer.main(), "acme")
		require.Empty(t, value[[]string](customer, `[...document.querySelectorAll("main form[method=post]")].map((form) => form.action)`),
			"a link without rights changes nothing")
		customer.requireQuiet()
	})
	t.Run("a customer with the rights pauses, undoes it, and replaces the token", func(t *testing.T) {
		customer := operator.another()
		customer.open(s.link("globex", "pause", "token"))
		customer.press(`main form[action$="/pause"] button`)
		require.Contains(t, customer.main(), "Paused: nothing is read or written until you resume.")
		customer.press(`main .flash button`)
		require.Contains(t, customer.main(), "Resumed")
		customer.run(chromedp.SendKeys(chromedp.CSS("main input[name=token]"), "globex-token"))
		customer.press(`main form[action$="/token"] button`)
		require.Contains(t, customer.main(), "This token was in force already.")
		require.Equal(t, 1, s.count(`SELECT count(*) FROM operator_audit WHERE operator LIKE 'link:%' AND verb = 'customers.pause'`), "the audit has the link")
		customer.requireQuiet()
	})
	t.Run("a letter is retried", func(t *testing.T) {
		s.await("globex is mirrored and polled", func() bool {
			return s.count(`SELECT count(*) FROM sync_configs WHERE customer_id = 'globex' AND backfill_completed_at IS NOT NULL`) == 1
		})
		s.control(http.MethodPost, "/control/faults", map[string]any{
			"target": "crm", "tenant": "globex", "kind": "status", "status": 422, "records": []string{"vomo-1007"},
		})
		s.control(http.MethodPost, "/control/orgs/globex/users:batch", map[string]any{"edits": []map[string]any{
			{"id": 1006, "phone": "+15550000000"}, {"id": 1007, "phone": "+15550000000"}, {"id": 1008, "phone": "+15550000000"},
		}})
		_, err := s.js.Publish(t.Context(), bus.SubjectPoll("globex"), []byte(`{"customerId":"globex"}`))
		require.NoError(t, err)
		s.await("the letter is open", func() bool { return s.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`) == 1 })
		s.control(http.MethodDelete, "/control/faults", nil)
		operator.open(s.console + "/letters?customer=globex")
		operator.press(`main tr[data-row] a`)
		require.Contains(t, operator.main(), "rejects this record")
		operator.press(`main form[action$="/retry"] button`)
		require.Contains(t, operator.main(), "retried at once")
		operator.see("Settled")
	})
	t.Run("keys lead through the lists", func(t *testing.T) {
		operator.open(s.console + "/customers?state=all")
		operator.run(chromedp.KeyEvent("j"))
		require.Equal(t, "acme", value[string](operator, `document.activeElement.textContent`))
		operator.leave(chromedp.KeyEvent(kb.Enter))
		require.Equal(t, s.console+"/customers/acme", operator.at())
		operator.run(chromedp.KeyEvent("/"))
		require.Equal(t, "search", value[string](operator, `document.activeElement.id`))
		operator.run(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent("?"))
		require.True(t, value[bool](operator, `document.querySelector("#keys").open`))
		operator.run(chromedp.KeyEvent(kb.Escape))
		operator.leave(chromedp.KeyEvent("g"), chromedp.KeyEvent("l"))
		require.Equal(t, s.console+"/letters", operator.at())
	})
	t.Run("five pages are accessible in both themes", func(*testing.T) {
		for _, path := range []string{"/customers?state=all", "/customers/acme", "/letters?state=all", "/alerts", "/streams"} {
			operator.open(s.console + path)
			operator.requireAccessible(path)
		}
	})
	operator.requireQuiet()
}

// isReloaded loads the page again, because it was made before the backfill began.
func isReloaded(p *profile) bool {
	p.run(chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS("main")))
	return strings.Contains(p.main(), "Backfill")
}
