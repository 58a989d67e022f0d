package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
)

// standing is the customer's status as operators see it.
func (h *house) standing(customer string) report.Status {
	h.t.Helper()
	var status report.Status
	code, text := h.asks("status", "get", report.StatusQuestion{CustomerID: customer}, &status)
	require.Empty(h.t, code, text)
	return status
}

// steady has a customer through its first backfill and polled, with services that keep it so; poller is the poller.
func (h *house) steady(customer string, users, cadenceMinutes int) (poller *testkit.Process) {
	h.t.Helper()
	h.ahead(0)
	h.organisation(customer, users)
	h.start(programOnboarding)
	h.start(programBackfill)
	poller = h.start(programPoller)
	request := h.request(customer)
	request["pollCadenceMinutes"] = cadenceMinutes
	h.publish(bus.SubjectOnboard(customer), request)
	h.untilState(customer, "completed", longest)
	h.afterPolls(soon)
	h.control(http.MethodPost, "/control/report/reset", nil, nil)
	return poller
}

// operator runs a command line of rollcall, which must do what it says.
func (h *house) operator(args ...string) string {
	h.t.Helper()
	command := testkit.Program(h.t, programRollcall, testkit.ProgramConfig{Args: args, Env: map[string]string{"NATS_URL": h.nats.URL}})
	require.Zero(h.t, command.Wait(), command.Output())
	return command.Output()
}

func TestAPausedCustomerIsLeftInPeaceAndGoesOnFromItsCursor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.steady("acme", 300, 30)
	h.start("rollcall.dev/services/reconciler")
	h.until(soon, "its turn in the night is known", func() bool {
		return h.count(`SELECT count(*) FROM sync_configs WHERE next_reconcile_at IS NOT NULL`) == 1
	})

	require.Contains(t, h.operator("pause", "acme"), "acme: paused")

	h.control(http.MethodPost, "/control/report/reset", nil, nil)
	h.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1005, "last_name": "Changed"}}, "add": 20})
	h.ahead(36 * time.Hour) // dozens of polls, and a night
	for _, subject := range []string{bus.SubjectPoll("acme"), bus.SubjectReconcile(bus.CategoryUserDaily, "acme"), bus.SubjectBackfill("acme")} {
		h.publish(subject, map[string]any{"customerId": "acme"})
	}
	h.until(soon, "what was published by hand is settled", func() bool {
		return h.subjects(bus.StreamPoll, ">")+h.subjects(bus.StreamReconcile, ">")+h.subjects(bus.StreamBackfill, ">") == 0
	})
	code, text := h.asks("users", "resync", report.ResyncQuestion{CustomerID: "acme", VomoID: "1005"}, nil)
	require.Equal(t, service.CodeConflict, code, text)
	paused := h.standing("acme")
	require.Equal(t, new(false), paused.Health.IsHealthy)
	require.Len(t, paused.Health.Reasons, 1, "nobody waits for polls meanwhile: %v", paused.Health.Reasons)
	require.Equal(t, event.ConditionPaused, paused.Health.Reasons[0].Code)
	require.Zero(t, h.traffic().VOMO["acme"].Requests, "VOMO is left in peace")
	require.Zero(t, h.traffic().CRM["acme"].Writes)

	require.Contains(t, h.operator("resume", "acme"), "polled at once")

	h.until(soon, "the night is made good", func() bool { return h.count(`SELECT count(*) FROM reconciliation_runs`) == 1 })
	h.afterPolls(soon)
	require.Equal(t, comparison{Source: 320, Destination: 320, Same: 320}, h.compare("acme"))
	require.LessOrEqual(t, h.traffic().VOMO["acme"].Requests, 8, "only what changed is read")
	require.Equal(t, 21, h.traffic().CRM["acme"].Writes)
	resumed := h.standing("acme")
	require.Equal(t, new(true), resumed.Health.IsHealthy, "%v", resumed.Health.Reasons)
	for _, name := range []string{event.CustomerPaused, event.CustomerResumed} {
		h.until(soon, name+" is published", func() bool { return len(h.events(bus.StreamEvents, bus.SubjectEvent(name, "acme"))) == 1 })
	}
}

func TestABackfillUnderWayStopsWithItsCustomerAndGoesOnFromItsCursor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.start(programOnboarding)
	h.start(programBackfill)
	testkit.Build(t, programRollcall) // which takes longer than the backfill
	h.underWay("acme", 900)

	h.operator("customer", "pause", "acme")

	h.untilLetGo("acme")
	stopped := h.backfill("acme")
	seen := h.traffic().VOMO["acme"]
	require.Less(t, stopped.Processed, int64(900))
	h.start(programBackfill) // which requests runs that no worker has
	h.publish(bus.SubjectBackfill("acme"), map[string]any{"customerId": "acme"})
	h.untilLetGo("acme")
	require.Equal(t, stopped.Pages, h.backfill("acme").Pages)
	require.Equal(t, seen.Requests, h.traffic().VOMO["acme"].Requests)
	require.NotContains(t, h.logs(), "lane lost", "a worker that an operator stops makes no noise")

	h.operator("customer", "resume", "acme")

	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 900)
	require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs`), "the same run went on")
	require.LessOrEqual(t, len(h.traffic().VOMO["acme"].PagesFetchedAgain), 6, "no more than was in flight, and the test of the token")
}

func TestATokenThatVOMORefusesSwitchesOffAndANewOneGoesOnFromTheCheckpoint(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.steady("acme", 600, 30)
	h.control(http.MethodPost, "/control/faults", map[string]any{"target": "vomo", "kind": "status", "status": 401, "count": 1}, nil)
	h.operator("poll", "now", "acme", "--wait")
	require.True(t, h.standing("acme").Integration.Enabled, "one refusal that is not confirmed switches nobody off")
	require.Zero(t, h.count(`SELECT count(*) FROM alerts`))

	h.control(http.MethodPost, "/control/orgs/acme/revoke", nil, nil)
	h.ahead(30 * time.Minute)

	h.until(soon, "the customer is switched off", func() bool { return !h.standing("acme").Integration.Enabled })
	h.until(soon, "and people are told", func() bool { return len(h.events(bus.StreamAlerts, "rollcall.alerts.high.auth_failed.acme")) == 1 })
	off := h.standing("acme")
	require.Equal(t, new(event.AlertAuthFailed), off.Integration.DisabledReason)
	require.Equal(t, new(false), off.Health.IsHealthy)
	require.Equal(t, event.AlertAuthFailed, off.Health.Reasons[0].Code)
	require.Equal(t, new(event.AlertAuthFailed), off.Polling.OpenRun.ParkReason)
	h.control(http.MethodPost, "/control/report/reset", nil, nil)
	h.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1005, "last_name": "Changed"}}})
	h.ahead(24 * time.Hour)
	h.publish(bus.SubjectPoll("acme"), map[string]any{"customerId": "acme"})
	h.until(soon, "the request is settled", func() bool { return h.subjects(bus.StreamPoll, ">") == 0 })
	require.Zero(t, h.traffic().VOMO["acme"].Requests, "nothing is sent with a token that is bad")

	h.control(http.MethodPost, "/control/orgs/acme/restore", nil, nil)
	renewed := h.request("acme")
	renewed["pollCadenceMinutes"] = 30
	h.publish(bus.SubjectOnboard("acme"), renewed)

	h.until(soon, "it works again", func() bool { return h.standing("acme").Integration.Enabled })
	h.afterPolls(soon)
	require.Equal(t, comparison{Source: 600, Destination: 600, Same: 600}, h.compare("acme"))
	seen := h.traffic().VOMO["acme"]
	require.LessOrEqual(t, seen.Requests, 4, "the test of the token, and who changed")
	require.Equal(t, 1, seen.Pages, "no page of a full scan")
	require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs`))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM alerts WHERE type = 'auth_failed' AND cleared_at IS NOT NULL`))
	well := h.standing("acme")
	require.Equal(t, new(true), well.Health.IsHealthy, "%v", well.Health.Reasons)
}

func TestAReconciliationByHandFindsWhatWasMissed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.steady("acme", 60, 30)
	h.start("rollcall.dev/services/reconciler")
	h.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1005, "last_name": "Changed"}}, "add": 2})
	h.ahead(4 * time.Hour) // the checkpoint stays an hour behind at most
	h.afterPolls(soon)
	_, err := h.pool.Exec(t.Context(), `DELETE FROM user_mappings WHERE vomo_user_id = '1005'`)
	require.NoError(t, err)
	h.control(http.MethodDelete, "/crm/acme/users/vomo-1005", nil, nil)

	require.Contains(t, h.operator("reconcile", "now", "acme", "--wait"), "1 gap")

	require.Equal(t, comparison{Source: 62, Destination: 62, Same: 62}, h.compare("acme"))
	status := h.standing("acme")
	require.Equal(t, int64(1), *status.Reconciliation.Gaps)
	require.InDelta(t, 1/float64(*status.Reconciliation.Expected), *status.Health.AverageReconciliationGapRate, 1e-9)
	require.Contains(t, h.operator("reconcile", "now", "acme", "--wait"), "0 gaps")
}
