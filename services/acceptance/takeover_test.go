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

// claimTimeout is short, so that another worker takes over soon. The default is 30 s.
const claimTimeout = 4 * time.Second

// slowDown delays every write at the CRM, so that a run lasts long enough to be disturbed.
func (f *fixture) slowDown(milliseconds int) {
	f.t.Helper()
	f.control(http.MethodPost, "/control/faults", map[string]any{"target": "crm", "kind": "latency", "delayMs": milliseconds}, nil)
}

// threeWorkers starts onboarding and three backfill workers, and waits until one of them is well into a run.
func threeWorkers(t *testing.T, users int) (*fixture, *testkit.Process) {
	t.Helper()
	settings := map[string]string{"CLAIM_TIMEOUT": claimTimeout.String()}
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	f.organisation("acme", users)
	f.start(programOnboarding)
	workers := map[int]*testkit.Process{}
	for range 3 {
		worker := f.start(programBackfill)
		workers[worker.PID()] = worker
	}
	f.slowDown(40)
	f.onboard("acme")
	f.await(soon, "the run is well under way", func() bool {
		run := f.backfill("acme")
		return run != nil && run.Processed >= int64(users/4)
	})
	var holder string
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT holder FROM customer_leases WHERE customer_id = 'acme'`).Scan(&holder))
	parts := strings.Split(holder, "/") // the instance, its process and the lease
	pid, err := strconv.Atoi(parts[len(parts)-2])
	require.NoError(t, err)
	require.Contains(t, workers, pid)
	return f, workers[pid]
}

func (f *fixture) epoch(customer string) int {
	return f.count(`SELECT epoch FROM customer_leases WHERE customer_id = $1`, customer)
}

func TestThreeWorkersFetchNoPageTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 5000)
	f.start(programOnboarding)
	for range 3 {
		f.start(programBackfill)
	}
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 5000)
	seen := f.traffic().VOMO["acme"]
	require.Equal(t, 334, seen.Pages)
	for _, page := range seen.PagesFetchedAgain {
		require.Equal(t, struct{ Page, Times int }{1, 2}, page, "only the test of the token reads page 1 a second time")
	}
	require.Equal(t, 1, strings.Count(f.logs(), "run claimed"), "one worker claimed it, once")
}

func TestKilledWorkerIsReplacedAndSuccessorResumes(t *testing.T) {
	t.Parallel()
	f, working := threeWorkers(t, 3000)
	before := f.epoch("acme")
	working.Kill()
	killed := time.Now()
	f.await(claimTimeout+5*time.Second, "another worker has the lane", func() bool { return f.epoch("acme") > before })
	t.Logf("taken over after %s", time.Since(killed).Round(time.Millisecond))
	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 3000)
	again := 0
	for _, page := range f.traffic().VOMO["acme"].PagesFetchedAgain {
		if page.Page != 1 {
			again += page.Times - 1
		}
	}
	require.LessOrEqual(t, again, 4, "at most the pages read ahead are fetched again")
	require.LessOrEqual(t, f.traffic().CRM["acme"].Writes, 3000+2*15, "at most two pages are written again")
}

// gaveUp matches the log line of a worker that lost its lane while it was suspended.
var gaveUp = regexp.MustCompile(`lane (was )?lost|message (failed|left)`)

func TestSuspendedWorkerWritesNothingAfterResuming(t *testing.T) {
	t.Parallel()
	f, working := threeWorkers(t, 3000)
	before := f.epoch("acme")
	working.Signal(syscall.SIGSTOP)
	f.await(2*claimTimeout+10*time.Second, "another worker has the lane", func() bool { return f.epoch("acme") > before })
	f.awaitState("acme", "completed", longest)
	f.await(soon, "the successor has given the lane back, which ends its epoch", func() bool {
		return f.count(`SELECT count(*) FROM customer_leases WHERE expires_at > now()`) == 0
	})
	epoch, writes := f.epoch("acme"), f.traffic().CRM["acme"].Writes

	working.Signal(syscall.SIGCONT)

	f.await(soon, "the old worker has given up", func() bool { return gaveUp.MatchString(working.Output()) })
	f.requireMirrored("acme", 3000)
	require.Equal(t, writes, f.traffic().CRM["acme"].Writes)
	require.Equal(t, epoch, f.epoch("acme"), "the old worker does not take the lane again: there is nothing to do")
	require.Len(t, f.events("ROLLCALL_EVENTS", "rollcall.events.backfill.completed.acme"), 1)
}

func TestRollingRestartReadsNoPageTwice(t *testing.T) {
	t.Parallel()
	f, working := threeWorkers(t, 3000)
	require.Zero(t, working.Stop(), "SIGTERM drains within 25 s and ends with 0")
	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 3000)
	for _, page := range f.traffic().VOMO["acme"].PagesFetchedAgain {
		require.Equal(t, struct{ Page, Times int }{1, 2}, page)
	}
	require.Equal(t, 1, f.traffic().CRM["acme"].MaxWritesPerRecord)
}
