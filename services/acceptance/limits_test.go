package acceptance_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimitsHoldOverAllProcesses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil) // the default limits: 3 a second, 100 a minute
	customers := []string{"acme", "globex"}
	h.start(programOnboarding)
	for range 4 {
		h.start(programBackfill)
	}
	for _, customer := range customers {
		h.organisation(customer, 1000)
		h.onboard(customer)
	}
	for _, customer := range customers {
		h.untilState(customer, "completed", longest)
		h.requireMirrored(customer, 1000)
		seen := h.traffic().VOMO[customer]
		require.LessOrEqual(t, seen.MaxPerMinute, 100)
		require.LessOrEqual(t, seen.MaxPer10Seconds, 31)
		require.LessOrEqual(t, seen.MaxPerSecond, 4)
		require.Equal(t, 72, seen.Requests, "67 pages, 4 windows and the test of the token")
		rate := h.backfill(customer).RequestsPerMinute
		require.NotNil(t, rate)
		t.Logf("%s: %.1f of 100 requests a minute allowed were used while there was work", customer, *rate)
	}
}

func TestASmallCustomerPassesAHugeOne(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"BACKFILL_SLOTS": "1", "BACKFILL_TURN": "1s"}
	maps.Copy(settings, fast)
	h := newHouse(t, settings)
	h.organisation("huge", 4000)
	h.organisation("small", 40)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.slow(25)
	h.onboard("huge")
	h.until(soon, "the huge one is under way", func() bool {
		run := h.backfill("huge")
		return run != nil && run.Pages > 0
	})
	h.onboard("small")
	h.untilState("small", "completed", soon)
	require.NotEqual(t, "completed", h.backfill("huge").State, "the only slot was handed back for the small one")
	h.untilState("huge", "completed", longest)
	h.requireMirrored("huge", 4000)
	h.requireMirrored("small", 40)
	for _, page := range h.traffic().VOMO["huge"].PagesFetchedAgain {
		require.Equal(t, struct{ Page, Times int }{1, 2}, page, "handing a slot back wastes no page")
	}
}
