package pages

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

// drainOf stores a running drain of a customer, "" for all, with one letter done and one left.
func (f *fixture) drainOf(customer string) (id int64) {
	f.t.Helper()
	now := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	f.in(func(ctx context.Context, tx *store.Tx) (err error) {
		id, err = tx.AddDrain(ctx, store.NewDrain{
			Customer: customer, Verb: operatorapi.VerbRetry, Filter: []byte(`{"customerId":"` + customer + `","errorCode":"http_422"}`), AsOf: now,
			Planned: 1200, Pace: 60, AskedBy: "user:op",
		})
		if err != nil {
			return err
		}
		return tx.AddDrainItems(ctx, id, []store.NewDrainItem{
			{LetterID: uuid.MustParse("0c3f2a11-0000-4000-8000-000000000001"), Customer: "acme"},
			{LetterID: uuid.MustParse("0c3f2a12-0000-4000-8000-000000000002"), Customer: "acme", Reason: operatorapi.LeftInHand},
		})
	})
	return id
}

// serves answers a question as a service does, and returns what was asked.
func serves[Question any](f *fixture, noun, verb string, reply any) <-chan Question {
	f.t.Helper()
	asked := make(chan Question, 4)
	answer, err := json.Marshal(reply)
	require.NoError(f.t, err)
	subscription, err := f.Conn.Subscribe(service.APISubject(noun, verb), func(message *nats.Msg) {
		var question Question
		if err := json.Unmarshal(message.Data, &question); err != nil {
			f.t.Error(err)
		}
		asked <- question
		if err := message.Respond(answer); err != nil {
			f.t.Error(err)
		}
	})
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, subscription.Unsubscribe()) })
	return asked
}

func TestDrainPageShowsProgressLedgerAndHowToAbort(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	path := drainPath(f.drainOf("acme"))
	_, body := f.get(path)
	require.NotContains(t, body, `data-live=""`, "it updates itself")
	main := mainOf(body)
	for _, text := range []string{
		"1 of 1,200 letters retried", `<progress value="2" max="1200"`, "at most 60 letters a minute", "19 min to ", "error code http_422",
		path + "/abort", "rollcall drain abort ", "/letters/0c3f2a11-0000-4000-8000-000000000001", "A job has it in hand",
	} {
		require.Contains(t, main, text)
	}
	_, body = f.get(path + "?outcome=left")
	require.NotContains(t, mainOf(body), "0c3f2a11")
	require.Contains(t, mainOf(body), "0c3f2a12")
	_, body = f.get("/letters")
	require.Contains(t, mainOf(body), path, "recent drains are below the letters")

	f.who = access.Principal{ID: "user:viewer", Rights: access.Viewer.Rights()}
	_, body = f.get(path)
	require.NotContains(t, body, path+"/abort")
	status, _ := f.post(path+"/abort", url.Values{})
	require.Equal(t, http.StatusForbidden, status)
}

func TestPlanStartsADrainAndItsPageAborts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	id := f.drainOf("acme")
	started := serves[operatorapi.DrainStart](f, "drains", "start", operatorapi.Drain{ID: id})
	status, location := f.post("/letters/discard", url.Values{"customer": {"acme"}, "code": {"http_422"}, "note": {"agreed"}, "pace": {"60"},
		"asOf": {"2026-03-02T09:00:00Z"}})
	require.Equal(t, http.StatusSeeOther, status)
	require.Contains(t, location, drainPath(id)+"?said=drain-started")
	at := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	require.Equal(t, operatorapi.DrainStart{
		LettersFilter: operatorapi.LettersFilter{CustomerID: "acme", ErrorCode: "http_422", AsOf: &at}, Verb: "discard", Note: "agreed", PacePerMinute: 60,
	}, <-started)

	aborted := serves[operatorapi.DrainCommand](f, "drains", "abort", operatorapi.Drain{ID: id})
	status, location = f.post(drainPath(id)+"/abort", url.Values{})
	require.Equal(t, http.StatusSeeOther, status)
	require.Contains(t, location, "said=drain-aborted")
	require.Equal(t, operatorapi.DrainCommand{ID: id, CustomerID: "acme"}, <-aborted)
}

func TestPrincipalOfOneCustomerSeesAndStartsItsDrainsOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.onboard("globex")
	own, foreign, ofAll := f.drainOf("acme"), f.drainOf("globex"), f.drainOf("")
	f.who = access.Principal{ID: "link:1", Customer: "acme", Rights: []access.Right{access.Read, access.Letters}}
	_, body := f.get("/letters")
	require.Contains(t, body, drainPath(own)+`"`)
	require.NotContains(t, body, drainPath(foreign)+`"`)
	require.NotContains(t, body, drainPath(ofAll)+`"`)
	status, body := f.get(drainPath(own))
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, "user:op", "a customer does not see who operates rollcall")
	for _, id := range []int64{foreign, ofAll, 99} {
		status, _ = f.get(drainPath(id))
		require.Equal(t, http.StatusNotFound, status)
		status, _ = f.post(drainPath(id)+"/abort", url.Values{})
		require.Equal(t, http.StatusNotFound, status)
	}
	started := serves[operatorapi.DrainStart](f, "drains", "start", operatorapi.Drain{ID: own})
	for _, form := range []url.Values{{"customer": {"globex"}, "code": {"http_422"}}, {"code": {"http_422"}}} {
		status, _ = f.post("/letters/retry", form)
		require.Equal(t, http.StatusSeeOther, status)
		require.Equal(t, "acme", (<-started).CustomerID)
	}
}
