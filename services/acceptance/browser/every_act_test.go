//go:build e2e && long

package browser_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
)

// TestEveryActOfTheConsole is the journey of `make test/e2e-long`: what the short one leaves out.
func TestEveryActOfTheConsole(t *testing.T) {
	s := newStack(t)
	s.onboard("globex", 30)
	s.onboard("initech", 60)
	operator := newBrowser(t)
	operator.open(s.console + "/sign-in")
	operator.run(chromedp.SendKeys(chromedp.CSS("input[name=token]"), s.token("admin")))
	operator.press("main form button")
	for _, customer := range []string{"globex", "initech"} {
		s.await(customer+" is mirrored", func() bool {
			return s.count(`SELECT count(*) FROM sync_configs WHERE customer_id = $1 AND backfill_completed_at IS NOT NULL`, customer) == 1
		})
	}
	t.Run("a letter is discarded", func(t *testing.T) {
		s.rejectRecords("globex", "vomo-1007")
		s.editUsers("globex", 1, 1006, 1007)
		s.await("the letter is open", func() bool { return s.openLetters() == 1 })
		operator.open(s.console + "/letters?customer=globex")
		operator.press(`main tr[data-row] a`)
		operator.run(chromedp.SendKeys(chromedp.CSS(`main form[action$="/discard"] input`), "a test record"))
		operator.press(`main form[action$="/discard"] button`)
		require.Contains(t, operator.main(), "The letter was discarded.")
		require.Zero(t, s.openLetters())
		s.control(http.MethodDelete, "/control/faults", nil) // the next poll writes the record
	})
	t.Run("letters are retried in bulk, with a plan and a ledger", func(t *testing.T) {
		s.rejectRecords("globex", "vomo-1010", "vomo-1011", "vomo-1012", "vomo-1013", "vomo-1014", "vomo-1015")
		s.editUsers("globex", 2, 1010, 1020, 1011, 1021, 1012, 1022, 1013, 1023, 1014, 1024, 1015, 1025)
		s.await("the letters are open", func() bool { return s.openLetters() == 6 })
		s.control(http.MethodDelete, "/control/faults", nil)
		operator.open(s.console + "/letters?customer=globex&state=review&plan=retry")
		require.Contains(t, operator.main(), "6 letters")
		operator.press(`main form[action="/letters/retry"] button`)
		require.Contains(t, operator.at(), "/drains/")
		operator.see("Done")
		require.Equal(t, 6, value[int](operator, `document.querySelectorAll("main tr[data-row]").length`), "the ledger has each letter")
		s.await("each is written", func() bool { return s.openLetters() == 0 })
	})
	t.Run("a held deletion is approved", func(t *testing.T) {
		var gone []string
		for id := 1001; id <= 1020; id++ {
			gone = append(gone, fmt.Sprint(id))
		}
		s.control(http.MethodPost, "/control/orgs/initech/users:batch", map[string]any{"delete": gone})
		_, err := operatorclient.Ask[operatorapi.DeletionCommand, operatorapi.DeletionCommanded](t.Context(), &s.client, "deletions", "scan",
			operatorapi.DeletionCommand{CustomerID: "initech"})
		require.NoError(t, err)
		s.await("it is held", func() bool { return s.count(`SELECT count(*) FROM deletion_runs WHERE state = 'held'`) == 1 })
		operator.open(s.console + "/held")
		operator.press(`main tr[data-row] a`)
		operator.run(chromedp.SendKeys(chromedp.CSS("main input[name=confirm]"), "initech"))
		operator.press(`main form[action$="/approve"] button`)
		s.await("exactly these are deleted", func() bool {
			return s.count(`SELECT count(*) FROM user_mappings WHERE customer_id = 'initech'`) == 60-len(gone)
		})
	})
	t.Run("a customer replaces the token", func(t *testing.T) {
		customer := operator.another()
		customer.open(s.link("globex", "token"))
		customer.run(chromedp.SendKeys(chromedp.CSS("main input[name=token]"), "globex-token"))
		customer.press(`main form[action$="/token"] button`)
		require.Contains(t, customer.main(), "This token was in force already.")
		customer.requireQuiet()
	})
	t.Run("the keyboard alone signs in, finds a customer, pauses and resumes it", func(t *testing.T) {
		typist := operator.another()
		typist.open(s.console + "/sign-in")
		typist.tabTo(`input[name=token]`)
		typist.run(chromedp.KeyEvent(s.token("operator")))
		typist.leave(chromedp.KeyEvent(kb.Enter))
		typist.run(chromedp.KeyEvent("/"))
		// The driver sends the character of a key, too, although the page has dealt with the key.
		require.Equal(t, "search", value[string](typist, `(() => { document.activeElement.value = ""; return document.activeElement.id; })()`))
		typist.run(chromedp.KeyEvent("globex"))
		typist.leave(chromedp.KeyEvent(kb.Enter))
		require.Equal(t, s.console+"/customers/globex", typist.at())
		typist.tabTo(`main form[action$="/pause"] button`)
		typist.leave(chromedp.KeyEvent(kb.Enter))
		require.Contains(t, typist.main(), "Paused")
		typist.tabTo(`main .flash button`)
		typist.leave(chromedp.KeyEvent(kb.Enter))
		require.Contains(t, typist.main(), "Resumed")
		typist.requireQuiet()
	})
	t.Run("each page is accessible in both themes", func(*testing.T) {
		for _, path := range everyPage {
			operator.open(s.console + path)
			operator.requireAccessible(path)
		}
	})
	operator.requireQuiet()
	takeScreenshots(s, operator)
}

// everyPage is the address of each page, as an operator sees it after what the test has done.
var everyPage = []string{
	"/customers?state=all", "/customers/globex", "/customers/initech", "/letters?state=all", "/held", "/review", "/alerts?all", "/streams",
	"/record?customer=globex&kind=user&id=1007", "/drains/1", "/endpoints", "/audit", "/settings", "/search",
}

// rejectRecords has the external system reject records.
func (s *stack) rejectRecords(customer string, records ...string) {
	s.t.Helper()
	s.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "tenant": customer, "kind": "status", "status": 422, "records": records,
	})
}

// editUsers changes users at VOMO, and has them polled.
func (s *stack) editUsers(customer string, digit int, ids ...int) {
	s.t.Helper()
	edits := make([]map[string]any, len(ids))
	for i, id := range ids {
		edits[i] = map[string]any{"id": id, "phone": fmt.Sprintf("+1555000000%d", digit)}
	}
	s.control(http.MethodPost, "/control/orgs/"+customer+"/users:batch", map[string]any{"edits": edits})
	_, err := s.js.Publish(s.t.Context(), bus.SubjectPoll(customer), []byte(`{"customerId":"`+customer+`"}`))
	require.NoError(s.t, err)
}

func (s *stack) openLetters() int {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`)
}

// tabTo presses Tab until an element has the focus. Each stop on the way shows that it has it.
func (p *profile) tabTo(selector string) {
	p.t.Helper()
	for range 100 {
		if value[bool](p, `document.activeElement.matches(`+fmt.Sprintf("%q", selector)+`)`) {
			return
		}
		p.run(chromedp.KeyEvent(kb.Tab))
		require.NotEqual(p.t, "none 0px", value[string](p, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + " " + s.outlineWidth; })()`),
			"the focus is visible")
	}
	require.Fail(p.t, "Tab does not reach "+selector)
}
