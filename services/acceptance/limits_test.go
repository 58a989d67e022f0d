package acceptance_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimitsHoldOverAllProcesses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil) // the default limits: 3 a second, 100 a minute
	customers := []string{"acme", "globex"}
	f.start(programOnboarding)
	for range 4 {
		f.start(programBackfill)
	}
	for _, customer := range customers {
		f.organisation(customer, 1000)
		f.onboard(customer)
	}
	for _, customer := range customers {
		f.awaitState(customer, "completed", longest)
		f.requireMirrored(customer, 1000)
		seen := f.traffic().VOMO[customer]
		require.LessOrEqual(t, seen.MaxPerMinute, 100)
		require.LessOrEqual(t, seen.MaxPer10Seconds, 31)
		require.LessOrEqual(t, seen.MaxPerSecond, 4)
		require.Equal(t, 72, seen.Requests, "67 pages, 4 windows and the test of the token")
		rate := f.backfill(customer).RequestsPerMinute
		require.NotNil(t, rate)
		t.Logf("%s: %.1f of 100 requests a minute allowed were used while there was work", customer, *rate)
	}
}

func TestHugeCustomerDelaysNoSmallCustomer(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"BACKFILL_SLOTS": "1", "BACKFILL_TURN": "1s"}
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	f.organisation("huge", 4000)
	f.organisation("small", 40)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.slowDown(25)
	f.onboard("huge")
	f.await(soon, "the huge one is under way", func() bool {
		run := f.backfill("huge")
		return run != nil && run.Pages > 0
	})
	f.onboard("small")
	f.awaitState("small", "completed", soon)
	require.NotEqual(t, "completed", f.backfill("huge").State, "the only slot was handed back for the small one")
	f.awaitState("huge", "completed", longest)
	f.requireMirrored("huge", 4000)
	f.requireMirrored("small", 40)
	for _, page := range f.traffic().VOMO["huge"].PagesFetchedAgain {
		require.Equal(t, struct{ Page, Times int }{1, 2}, page, "handing a slot back wastes no page")
	}
}
