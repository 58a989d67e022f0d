package giving

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
)

func (f *fixture) refuse(path string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = map[string]int{path: status}
}

// A fault of one category's requests must stop neither the other categories nor donations.
func TestCategoryWhoseRequestsAreRejectedWaitsAlone(t *testing.T) {
	t.Parallel()
	for status, reason := range map[int]string{
		403: "virtuous_forbidden", 400: "virtuous_query_failed", 401: "virtuous_query_failed", 500: "virtuous_unavailable",
	} {
		f := newFixture(t)
		f.onboard(t, "acme")
		f.submitted(t, "acme", "don-1", 80*time.Hour)
		f.gift(1, "don-1", noon)
		f.refuse("/Contact/Query/FullContact", status)

		end := f.reconcile(t, "acme", "missed_webhook", "stuck", "needs_update")

		require.Empty(t, end.Reason)
		require.Equal(t, []string{"don-1 confirmed reconciliation_lookup 1"}, f.donations(t, "acme"))
		require.Equal(t, []string{"missed_webhook " + reason + " 1"}, column[string](t, f,
			`SELECT concat_ws(' ', category, fault, failures) FROM giving_reconciliations`))
		require.Empty(t, column[string](t, f, `SELECT reason FROM giving_holds`), "donations go on")
		parked, err := f.store.ParkedOf(t.Context(), "acme")
		require.NoError(t, err)
		require.Len(t, parked["acme"], 1)
		require.Equal(t, reason, parked["acme"][0].Reason, "the status says it")
		require.Equal(t, status == 403, slices.Contains(f.alerts(t, "acme"), "virtuous_forbidden"))
		f.requests()
		f.reconcile(t, "acme")
		require.Empty(t, f.requests(), "it waits")
		f.refuse("", 0)
		f.advance(t, 15*time.Minute)
		f.reconcile(t, "acme")
		require.Empty(t, column[string](t, f, `SELECT category FROM giving_reconciliations`))
		require.Empty(t, f.alerts(t, "acme"))
	}
}

func TestCategoryThatWaitsIsTriedAtOnceIfAnOperatorAsks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.refuse("/Contact/Query/FullContact", http.StatusForbidden)
	f.reconcile(t, "acme", "missed_webhook")
	f.refuse("", 0)
	f.reconcile(t, "acme", "missed_webhook")
	require.Empty(t, column[string](t, f, `SELECT category FROM giving_reconciliations`))
}

// A customer with very many records must not keep others, its own donations, or an operator's request waiting.
func TestCustomerHasTurnsAndAnOperatorsRequestComesNext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "don-1", 30*time.Hour)
	for id := range int64(5) {
		f.contact(id+1, noon)
	}
	f.reconciler.Turn = time.Nanosecond
	ask := func(category string) {
		require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return Ask(ctx, tx, "acme", category) }))
	}
	work := func() (more bool) {
		return f.rounds.Work(t.Context(), round.Next{Customer: "acme"}, make(chan struct{})).More
	}
	ask("missed_webhook")
	require.True(t, work(), "a page is a turn")
	ask("stuck")
	require.True(t, work())
	rounds := 2
	for work() {
		rounds++
		require.Less(t, rounds, 20)
	}
	require.Greater(t, rounds, 4)
	lookups := []string{}
	pages := 0
	for _, one := range f.requests() {
		switch one {
		case "/Contact/Query/FullContact":
			pages++
		case "/Gift/AcmeGive/don-1":
			require.Equal(t, 1, pages, "the request of the operator came after the turn that was under way")
			lookups = append(lookups, one)
		}
	}
	require.Len(t, lookups, 1)
	require.Equal(t, 4, pages, "no page is read twice")
}

// The schedule drifts by seconds, and a lookup takes some after the pass was asked for. A day must not become a day and six hours.
func TestLookupIsOnceADayAlthoughPassesTakeTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "don-1", 73*time.Hour)
	f.reconciler.reached = func(at string) error {
		if at == "looked_up" {
			f.advance(t, 20*time.Second) // less than the lease
		}
		return nil
	}
	for day := range 5 {
		for range 4 {
			before := column[time.Time](t, f, `SELECT at FROM test_clock`)[0]
			f.reconcile(t, "acme", "needs_update")
			after := column[time.Time](t, f, `SELECT at FROM test_clock`)[0]
			f.advance(t, 6*time.Hour+time.Second-after.Sub(before))
		}
		require.Len(t, f.requests(), 1, "day %d", day)
	}
}

// What a read shows of a key says nothing of what it may submit.
func TestReadsEndNoHoldOfAKeyThatMayNotSubmit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "don-1", 30*time.Hour)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := event.Raise(ctx, tx, event.AlertFor("acme", event.AlertVirtuousForbidden)); err != nil {
			return err
		}
		return tx.HoldGiving(ctx, "acme", event.AlertVirtuousForbidden, "", 0)
	}))
	f.reconcile(t, "acme", "stuck")
	require.Equal(t, []string{"virtuous_forbidden"}, f.alerts(t, "acme"))
	require.Equal(t, []string{"virtuous_forbidden"}, column[string](t, f, `SELECT reason FROM giving_holds`))
}

func TestRoundWithoutARequestEndsNoHold(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.HoldGiving(ctx, "acme", "virtuous_unavailable", "", time.Hour)
	}))
	f.reconcile(t, "acme", "stuck")
	require.Equal(t, []string{"virtuous_unavailable"}, column[string](t, f, `SELECT reason FROM giving_holds`))
	f.submitted(t, "acme", "don-1", 30*time.Hour)
	f.reconcile(t, "acme", "stuck")
	require.Empty(t, column[string](t, f, `SELECT reason FROM giving_holds`))
}

func TestReadsThatWaitForTheQuotaHoldNoDonations(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "don-1", 30*time.Hour)
	f.exec(t, `INSERT INTO virtuous_budgets (customer_id, next_at, hour_limit, remaining, reset_at, seen_at)
		VALUES ('acme', rollcall_now(), 1000, 100, now() + interval '30 minutes', now())`)
	end := f.reconcile(t, "acme", "stuck")
	require.Equal(t, job.ParkPaced, end.Reason)
	require.InDelta(t, 30*time.Minute, end.Hold, float64(time.Minute))
	require.Empty(t, column[string](t, f, `SELECT reason FROM giving_holds`))
	require.Equal(t, []string{"don-1 submitted"}, f.donations(t, "acme"))
}

// A status must be there while an operator's request waits for the customer to be resumed, and the failures in a row must add up although a
// failing pass notes how far it came.
func TestFailuresInARowAddUpAndAreShown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	for i := range 12 {
		f.submitted(t, "acme", fmt.Sprintf("don-%d", i), 30*time.Hour)
	}
	f.answer("acme", "500")
	for failures := range 3 {
		f.reconcile(t, "acme", "stuck")
		parked, err := f.store.ParkedOf(t.Context(), "acme")
		require.NoError(t, err)
		require.Len(t, parked["acme"], 1)
		require.Equal(t, failures+1, parked["acme"][0].Parks)
		require.Equal(t, noon, parked["acme"][0].Since.UTC(), "since the first one")
		f.advance(t, time.Second)
	}
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return Ask(ctx, tx, "acme", "stuck") }))
	parked, err := f.store.ParkedOf(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, "virtuous_unavailable", parked["acme"][0].Reason)
}
