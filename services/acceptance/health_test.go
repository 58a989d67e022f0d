package acceptance_test

import (
	"encoding/json"
	"flag"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

// ask sends a request to a service, as the operator's command does.
func ask[Reply any](f *fixture, noun, verb string, question any) Reply {
	f.t.Helper()
	encoded, err := json.Marshal(question)
	require.NoError(f.t, err)
	answer, err := f.conn.Request(service.APISubject(noun, verb), encoded, soon)
	require.NoError(f.t, err)
	require.Empty(f.t, answer.Header.Get("Nats-Service-Error"))
	var reply Reply
	require.NoError(f.t, json.Unmarshal(answer.Data, &reply))
	return reply
}

var quietDays = flag.Int("quiet-days", 1, "simulated days on which nothing happens to a customer")

func TestQuietCustomerIsHealthyAndWedgedPollerRaisesAnAlertWithinTwoCadences(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.advance(0)
	f.organisation("acme", 60)
	for _, program := range []string{programOnboarding, programBackfill, programReconciler, programNotifier} {
		f.start(program)
	}
	poller := f.start(programPoller)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	f.afterPolls(soon)
	healthy := func() bool {
		status := f.status("acme")
		return status.Health.IsHealthy != nil && *status.Health.IsHealthy
	}
	for range *quietDays * 8 { // three hours at a time
		for range 6 {
			f.advance(30 * time.Minute)
			f.afterPolls(soon)
		}
		require.True(t, healthy(), "a customer without changes is healthy: %+v", f.status("acme").Health)
	}
	f.await(soon, "each day is reconciled", func() bool {
		return f.count(`SELECT count(*) FROM reconciliation_runs WHERE gap_count = 0`) >= *quietDays
	})
	require.Zero(t, f.count(`SELECT count(*) FROM alerts`), "a customer without changes raises no alert")
	status := f.status("acme")
	require.Empty(t, status.Health.Reasons)
	require.Equal(t, "success", *status.Polling.LastRunOutcome)
	require.Zero(t, *status.Health.AverageReconciliationGapRate)

	poller.Signal(syscall.SIGSTOP)
	f.advance(61 * time.Minute) // two cadences

	require.False(t, healthy())
	reasons := f.status("acme").Health.Reasons
	at := slices.IndexFunc(reasons, func(reason report.Reason) bool { return reason.Code == "poll_stalled" })
	require.GreaterOrEqual(t, at, 0, reasons)
	require.Contains(t, reasons[at].Remedy, "rollcall poll now")
	f.await(longest, "operators are notified", func() bool {
		return f.messages(bus.StreamAlerts, "rollcall.alerts.high.poll_stalled.acme") == 1
	})

	poller.Signal(syscall.SIGCONT)
	f.await(longest, "it polls again", healthy)
	f.await(longest, "its end is sent, too", func() bool {
		return f.messages(bus.StreamAlerts, "rollcall.alerts.high.poll_stalled.acme") == 2
	})
}
