package acceptance_test

import (
	"encoding/json"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

// answered asks a service as the operator's command does.
func answered[Reply any](h *house, noun, verb string, question any) Reply {
	h.t.Helper()
	encoded, err := json.Marshal(question)
	require.NoError(h.t, err)
	answer, err := h.conn.Request(service.APISubject(noun, verb), encoded, soon)
	require.NoError(h.t, err)
	require.Empty(h.t, answer.Header.Get("Nats-Service-Error"))
	var reply Reply
	require.NoError(h.t, json.Unmarshal(answer.Data, &reply))
	return reply
}

func TestQuietCustomerIsHealthyAndWedgedPollerRaisesAnAlertWithinTwoCadences(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.ahead(0)
	h.organisation("acme", 60)
	for _, program := range []string{programOnboarding, programBackfill, programReconciler, programNotifier} {
		h.start(program)
	}
	poller := h.start(programPoller)
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	h.afterPolls(soon)
	healthy := func() bool {
		status := h.status("acme")
		return status.Health.IsHealthy != nil && *status.Health.IsHealthy
	}
	for range 16 { // two days, three hours at a time
		for range 6 {
			h.ahead(30 * time.Minute)
			h.afterPolls(soon)
		}
		require.True(t, healthy(), "nobody changes, and nothing is wrong: %+v", h.status("acme").Health)
	}
	h.until(soon, "both days are reconciled", func() bool { return h.count(`SELECT count(*) FROM reconciliation_runs WHERE gap_count = 0`) >= 2 })
	require.Zero(t, h.count(`SELECT count(*) FROM alerts`), "nobody is alarmed by quiet")
	status := h.status("acme")
	require.Empty(t, status.Health.Reasons)
	require.Equal(t, "success", *status.Polling.LastRunOutcome)
	require.Zero(t, *status.Health.AverageReconciliationGapRate)

	poller.Signal(syscall.SIGSTOP)
	h.ahead(61 * time.Minute) // two cadences

	require.False(t, healthy())
	reasons := h.status("acme").Health.Reasons
	at := slices.IndexFunc(reasons, func(reason report.Reason) bool { return reason.Code == "poll_stalled" })
	require.GreaterOrEqual(t, at, 0, reasons)
	require.Contains(t, reasons[at].Remedy, "rollcall poll now")
	h.until(longest, "operators are told", func() bool {
		return h.messages(bus.StreamAlerts, "rollcall.alerts.high.poll_stalled.acme") == 1
	})

	poller.Signal(syscall.SIGCONT)
	h.until(longest, "it polls again", healthy)
	h.until(longest, "that it is over is told, too", func() bool {
		return h.messages(bus.StreamAlerts, "rollcall.alerts.high.poll_stalled.acme") == 2
	})
}
