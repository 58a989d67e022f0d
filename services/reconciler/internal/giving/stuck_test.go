package giving

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
)

// stuckDonations is how many donations an outage leaves. 10,000 are for a run by hand, as in deploy/test-long.
var stuckDonations = flag.Int("donations", 200, "donations of TestStuckAfterAnOutageQueriesPagesInsteadOfLookingEachUp")

// lookups returns those of the requests that look a donation up.
func lookups(requests []string) []string {
	return slices.DeleteFunc(requests, func(one string) bool { return !strings.HasPrefix(one, "/Gift/AcmeGive/") })
}

func TestManyStuckDonationsAreQueriedBeforeTheyAreLookedUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	for i := range 51 {
		id := fmt.Sprintf("don-%02d", i)
		f.submitted(t, "acme", id, 30*time.Hour)
		if i < 49 {
			f.gift(int64(i+1), id, noon)
		}
	}

	f.reconcile(t, "acme", bus.CategoryStuck)

	require.Equal(t, []string{"/Gift/AcmeGive/don-49", "/Gift/AcmeGive/don-50"}, lookups(f.requests()))
	require.Equal(t, []int64{49}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue WHERE recovery_path = 'reconciliation_query'`))
	require.Equal(t, []int64{49}, column[int64](t, f, `SELECT count(*) FROM virtuous_reconciliation_log
		WHERE category = 'stuck' AND resolution = 'auto_recovered'`))
}

// stuckAfterOutage adds donations whose webhooks were lost. Every hundredth has no gift.
func (f *fixture) stuckAfterOutage(t testing.TB, donations int) (recovered int64) {
	t.Helper()
	f.submitted(t, "acme", "don-0", 40*time.Hour)
	f.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
		submitted_at, unanswered_since, created_at, status_at, updated_at)
		SELECT d.customer_id, 'don-' || n, d.status, d.transaction_source, d.donation_sealed, d.body_sealed, d.content_hash,
			d.submitted_at + n * interval '1 second', d.unanswered_since, d.created_at, d.status_at, d.updated_at
		FROM virtuous_donation_queue d, generate_series(1, $1::int - 1) n`, donations)
	for i := range donations {
		if i%100 > 0 {
			f.gift(int64(i), fmt.Sprintf("don-%d", i), noon)
			recovered++
		}
	}
	return recovered
}

func TestStuckAfterAnOutageQueriesPagesInsteadOfLookingEachUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.perPage = 100
	donations := *stuckDonations
	recovered := f.stuckAfterOutage(t, donations)

	f.reconcile(t, "acme", bus.CategoryStuck)

	require.Len(t, lookups(f.requests()), donations/100)
	t.Logf("%d donations took %d requests", donations, f.count)
	require.LessOrEqual(t, f.count, donations/50+2, "202 for 10,000")
	require.Equal(t, []int64{recovered}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue WHERE recovery_path = 'reconciliation_query'`))
	require.Equal(t, []int64{recovered}, column[int64](t, f, `SELECT count(*) FROM virtuous_reconciliation_log
		WHERE category = 'stuck' AND resolution = 'auto_recovered'`))
}

func TestQueryOfStuckGoesOnAtItsLastCommittedPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.perPage = 30
	recovered := f.stuckAfterOutage(t, 120)
	pages := 0
	f.reconciler.reached = func(place string) error {
		if place == "queried" {
			if pages++; pages == 2 {
				return errors.New("the process died")
			}
		}
		return nil
	}

	f.reconcile(t, "acme", bus.CategoryStuck)
	require.Equal(t, []int64{60}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue WHERE status = 'confirmed'`))
	f.requests()
	f.reconcile(t, "acme")

	require.Equal(t, []int64{recovered}, column[int64](t, f, `SELECT count(*) FROM virtuous_reconciliation_log WHERE resolution = 'auto_recovered'`))
	queries := slices.DeleteFunc(f.requests(), func(one string) bool { return one != "/Gift/Query/FullGift" })
	require.Len(t, queries, 3, "two pages with gifts, and an empty one")
}

func TestQueryOfStuckEndsAtAPageIfTheRoundMustEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.perPage = 30
	f.stuckAfterOutage(t, 120)
	must := make(chan struct{})
	f.reconciler.reached = func(place string) error {
		if place == "queried" {
			close(must)
		}
		return nil
	}
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return Ask(ctx, tx, "acme", bus.CategoryStuck) }))

	end := f.rounds.Work(t.Context(), round.Next{Customer: "acme"}, must)

	require.True(t, end.More)
	require.Equal(t, []int64{30}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue WHERE status = 'confirmed'`))
	require.Equal(t, []bool{true}, column[bool](t, f, `SELECT expires_at <= rollcall_now() FROM giving_leases`), "donations have the lane")
}
