package acceptance_test

import (
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The full size, run by hand: go test ./services/acceptance -run HugeCustomersDelay -huge 100000 -small 200 -slots 4 -pace 3.
var (
	hugeUsers  = flag.Int("huge", 20_000, "users of each of the two huge organisations")
	smallCount = flag.Int("small", 10, "how many small organisations stand beside them")
	slotsEach  = flag.Int("slots", 2, "slots of each of the two workers")
	pace       = flag.Int("pace", 4, "how many times faster than real life a test about fairness runs")
)

// All durations are shorter by the same factor. A minute here stands for that many minutes of an installation with the default
// limits and turns.
func TestHugeCustomersDelayNoOtherCustomer(t *testing.T) {
	t.Parallel()
	minute := time.Minute / time.Duration(*pace)
	f := newFixture(t, map[string]string{
		"VOMO_REQUESTS_PER_SECOND": strconv.Itoa(3 * *pace), "VOMO_REQUESTS_PER_MINUTE": strconv.Itoa(100 * *pace),
		"BACKFILL_SLOTS": strconv.Itoa(*slotsEach), "BACKFILL_TURN": minute.String(), "LOG_LEVEL": "info",
	})
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programBackfill)
	for _, huge := range []string{"huge-1", "huge-2"} {
		f.organisation(huge, *hugeUsers)
		f.onboard(huge)
		f.awaitRead(huge, 1)
	}
	for i := range *smallCount {
		small := fmt.Sprint("small-", i)
		f.organisation(small, 150)
		f.onboard(small)
	}
	for i := range *smallCount {
		f.awaitDone(fmt.Sprint("small-", i))
	}
	var waited, complete float64
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT extract(epoch FROM max(started_at - created_at)), extract(epoch FROM max(completed_at - created_at))
		FROM all_runs WHERE kind = 'backfill' AND customer_id LIKE 'small-%'`).Scan(&waited, &complete))
	simulated := func(seconds float64) time.Duration {
		return time.Duration(seconds * float64(*pace) * float64(time.Second)).Round(time.Second)
	}
	t.Logf("of %d small ones the last began after %s and was complete after %s of simulated time", *smallCount, simulated(waited), simulated(complete))
	require.LessOrEqual(t, simulated(waited), 3*time.Minute)
	require.Zero(t, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND customer_id LIKE 'huge-%' AND state = 'completed'`),
		"they were beside the huge ones all the time")
}
