package acceptance_test

import (
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

// claimTimeout is short here, so that a take-over is seen soon; the default is 30 s.
const claimTimeout = 4 * time.Second

// slow makes every write at the CRM take a moment, so that a run lasts long enough to be disturbed.
func (h *house) slow(milliseconds int) {
	h.t.Helper()
	h.control(http.MethodPost, "/control/faults", map[string]any{"target": "crm", "kind": "latency", "delayMs": milliseconds}, nil)
}

// threeWorkers starts onboarding and three backfill workers, and lets one of them get well into a run.
func threeWorkers(t *testing.T, users int) (*house, *testkit.Process) {
	t.Helper()
	settings := map[string]string{"CLAIM_TIMEOUT": claimTimeout.String()}
	maps.Copy(settings, fast)
	h := newHouse(t, settings)
	h.organisation("acme", users)
	h.start(programOnboarding)
	workers := map[int]*testkit.Process{}
	for range 3 {
		worker := h.start(programBackfill)
		workers[worker.PID()] = worker
	}
	h.slow(40)
	h.onboard("acme")
	h.until(soon, "the run is well under way", func() bool {
		run := h.backfill("acme")
		return run != nil && run.Processed >= int64(users/4)
	})
	var holder string
	require.NoError(t, h.pool.QueryRow(t.Context(), `SELECT holder FROM customer_leases WHERE customer_id = 'acme'`).Scan(&holder))
	parts := strings.Split(holder, "/") // the instance, its process and the lease
	pid, err := strconv.Atoi(parts[len(parts)-2])
	require.NoError(t, err)
	require.Contains(t, workers, pid)
	return h, workers[pid]
}

func (h *house) epoch(customer string) int {
	return h.count(`SELECT epoch FROM customer_leases WHERE customer_id = $1`, customer)
}

func TestThreeWorkersFetchNoPageTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 5000)
	h.start(programOnboarding)
	for range 3 {
		h.start(programBackfill)
	}
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 5000)
	seen := h.traffic().VOMO["acme"]
	require.Equal(t, 334, seen.Pages)
	for _, page := range seen.PagesFetchedAgain {
		require.Equal(t, struct{ Page, Times int }{1, 2}, page, "only the test of the token reads page 1 a second time")
	}
	require.Equal(t, 1, strings.Count(h.logs(), "backfill claimed"), "one worker claimed it, once")
}

func TestAKilledWorkerIsReplacedAndItsSuccessorResumes(t *testing.T) {
	t.Parallel()
	h, working := threeWorkers(t, 3000)
	before := h.epoch("acme")
	working.Kill()
	killed := time.Now()
	h.until(claimTimeout+5*time.Second, "another worker has the lane", func() bool { return h.epoch("acme") > before })
	t.Logf("taken over after %s", time.Since(killed).Round(time.Millisecond))
	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 3000)
	again := 0
	for _, page := range h.traffic().VOMO["acme"].PagesFetchedAgain {
		if page.Page != 1 {
			again += page.Times - 1
		}
	}
	require.LessOrEqual(t, again, 4, "at most the pages read ahead are fetched again")
}

// gaveUp is what a worker says that lost its lane, or what it needed for its page, while it slept.
var gaveUp = regexp.MustCompile(`lane (was )?lost|message (failed|left)`)

func TestASleepingWorkerThatWakesUpWritesNothing(t *testing.T) {
	t.Parallel()
	h, working := threeWorkers(t, 3000)
	before := h.epoch("acme")
	working.Signal(syscall.SIGSTOP)
	h.until(2*claimTimeout+10*time.Second, "another worker has the lane", func() bool { return h.epoch("acme") > before })
	h.untilState("acme", "completed", longest)
	h.until(soon, "the successor has given the lane back, which ends its epoch", func() bool {
		return h.count(`SELECT count(*) FROM customer_leases WHERE expires_at > now()`) == 0
	})
	epoch, writes := h.epoch("acme"), h.traffic().CRM["acme"].Writes

	working.Signal(syscall.SIGCONT)

	h.until(soon, "the old worker has given up", func() bool { return gaveUp.MatchString(working.Output()) })
	h.requireMirrored("acme", 3000)
	require.Equal(t, writes, h.traffic().CRM["acme"].Writes)
	require.Equal(t, epoch, h.epoch("acme"), "the old worker does not take the lane again: there is nothing to do")
	require.Len(t, h.events("ROLLCALL_EVENTS", "rollcall.events.backfill.completed.acme"), 1)
}

func TestARollingRestartReadsNoPageTwice(t *testing.T) {
	t.Parallel()
	h, working := threeWorkers(t, 3000)
	require.Zero(t, working.Stop(), "SIGTERM drains within 25 s and ends with 0")
	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 3000)
	for _, page := range h.traffic().VOMO["acme"].PagesFetchedAgain {
		require.Equal(t, struct{ Page, Times int }{1, 2}, page)
	}
	require.Equal(t, 1, h.traffic().CRM["acme"].MaxWritesPerRecord)
}
