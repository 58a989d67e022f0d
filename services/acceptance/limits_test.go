package acceptance_test

import (
	"fmt"
	"maps"
	"regexp"
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

// A customer's limits make its backfill wait most of the time. It then keeps no other customer waiting.
func TestCustomersThatWaitForTheirLimitsAreWorkedAtOnce(t *testing.T) {
	t.Parallel()
	const customers, users = 12, 450
	f := newFixture(t, map[string]string{"VOMO_REQUESTS_PER_SECOND": "2", "VOMO_REQUESTS_PER_MINUTE": "0", "LOG_LEVEL": "info"})
	f.start(programOnboarding)
	for i := range customers {
		customer := fmt.Sprint("limited-", i)
		f.organisation(customer, users)
		f.onboard(customer)
	}
	f.awaitRow("all are onboarded", `SELECT count(*) = $1 FROM all_runs WHERE kind = 'backfill'`, customers)
	f.start(programBackfill)
	const fewest = "rollcall_run_slots 4"
	slots := func() string { return regexp.MustCompile(`(?m)^rollcall_run_slots .*$`).FindString(f.metrics()) }
	f.awaitRow("all are worked at the same time", `SELECT count(*) = $1 FROM all_runs WHERE kind = 'backfill' AND state = 'running'`, customers)
	require.NotEqual(t, fewest, slots())
	for i := range customers {
		customer := fmt.Sprint("limited-", i)
		f.awaitState(customer, "completed", longest)
		f.requireMirrored(customer, users)
		require.LessOrEqual(t, f.traffic().VOMO[customer].MaxPerSecond, 3)
	}
	f.await(soon, "without work, there are as many slots as at the start", func() bool { return slots() == fewest })
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
