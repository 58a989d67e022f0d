package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
)

// startPolledCustomer starts the services and waits until a customer's first backfill is complete and it is polled.
func (f *fixture) startPolledCustomer(customer string, users, cadenceMinutes int) (poller *testkit.Process) {
	f.t.Helper()
	f.advance(0)
	f.organisation(customer, users)
	f.start(programOnboarding)
	f.start(programBackfill)
	poller = f.start(programPoller)
	request := f.request(customer)
	request["pollCadenceMinutes"] = cadenceMinutes
	f.publish(bus.SubjectOnboard(customer), request)
	f.awaitState(customer, "completed", longest)
	f.afterPolls(soon)
	f.control(http.MethodPost, "/control/report/reset", nil, nil)
	return poller
}

// operator runs a rollcall command that must succeed.
func (f *fixture) operator(args ...string) string {
	f.t.Helper()
	command := testkit.Program(f.t, programRollcall, testkit.ProgramConfig{Args: args, Env: map[string]string{"NATS_URL": f.nats.URL}})
	require.Zero(f.t, command.Wait(), command.Output())
	return command.Output()
}

func TestPausedCustomerIsNotSyncedAndContinuesFromItsCheckpoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.startPolledCustomer("acme", 300, 30)
	f.start("rollcall.dev/services/reconciler")
	f.awaitNight()

	require.Contains(t, f.operator("pause", "acme"), "acme: paused")

	f.control(http.MethodPost, "/control/report/reset", nil, nil)
	f.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1005, "last_name": "Changed"}}, "add": 20})
	f.advance(36 * time.Hour) // dozens of polls, and a night
	for _, subject := range []string{bus.SubjectPoll("acme"), bus.SubjectReconcile(bus.CategoryUserDaily, "acme"), bus.SubjectBackfill("acme")} {
		f.publish(subject, map[string]any{"customerId": "acme"})
	}
	f.await(soon, "what was published by hand is settled", func() bool {
		return f.subjects(bus.StreamPoll, ">")+f.subjects(bus.StreamReconcile, ">")+f.subjects(bus.StreamBackfill, ">") == 0
	})
	code, text := f.askService("users", "resync", operatorapi.ResyncQuestion{CustomerID: "acme", VomoID: "1005"}, nil)
	require.Equal(t, service.CodeConflict, code, text)
	paused := f.status("acme")
	require.Equal(t, new(false), paused.Health.IsHealthy)
	require.Len(t, paused.Health.Reasons, 1, "a paused customer has no stalled poll: %v", paused.Health.Reasons)
	require.Equal(t, event.ConditionPaused, paused.Health.Reasons[0].Code)
	require.Zero(t, f.traffic().VOMO["acme"].Requests, "VOMO is left in peace")
	require.Zero(t, f.traffic().CRM["acme"].Writes)

	require.Contains(t, f.operator("resume", "acme"), "polled at once")

	f.await(soon, "the night is made good", func() bool { return f.count(`SELECT count(*) FROM reconciliation_runs`) == 1 })
	f.afterPolls(soon)
	require.Equal(t, comparison{Source: 320, Destination: 320, Same: 320}, f.compare("acme"))
	require.LessOrEqual(t, f.traffic().VOMO["acme"].Requests, 8, "only what changed is read")
	require.Equal(t, 21, f.traffic().CRM["acme"].Writes)
	resumed := f.status("acme")
	require.Equal(t, new(true), resumed.Health.IsHealthy, "%v", resumed.Health.Reasons)
	for _, name := range []string{event.CustomerPaused, event.CustomerResumed} {
		f.await(soon, name+" is published", func() bool { return len(f.events(bus.StreamEvents, bus.SubjectEvent(name, "acme"))) == 1 })
	}
}

func TestRunningBackfillStopsWithPausedCustomerAndContinuesFromItsCursor(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.start(programOnboarding)
	f.start(programBackfill)
	testkit.Build(t, programRollcall) // building takes longer than the backfill
	f.startBackfill("acme", 900)

	f.operator("customer", "pause", "acme")

	f.awaitRelease("acme")
	stopped := f.backfill("acme")
	seen := f.traffic().VOMO["acme"]
	require.Less(t, stopped.Processed, int64(900))
	f.start(programBackfill) // it requests runs that no worker holds
	f.publish(bus.SubjectBackfill("acme"), map[string]any{"customerId": "acme"})
	f.awaitRelease("acme")
	require.Equal(t, stopped.Pages, f.backfill("acme").Pages)
	require.Equal(t, seen.Requests, f.traffic().VOMO["acme"].Requests)
	require.NotContains(t, f.logs(), "lane lost", "a worker that an operator stops makes no noise")

	f.operator("customer", "resume", "acme")

	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 900)
	require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill'`), "the same run went on")
	require.LessOrEqual(t, len(f.traffic().VOMO["acme"].PagesFetchedAgain), 6, "no more than was in flight, and the test of the token")
}

func TestRejectedTokenSwitchesCustomerOffAndNewTokenContinuesFromCheckpoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.startPolledCustomer("acme", 600, 30)
	f.control(http.MethodPost, "/control/faults", map[string]any{"target": "vomo", "kind": "status", "status": 401, "count": 1}, nil)
	f.operator("poll", "now", "acme", "--wait")
	require.True(t, f.status("acme").Integration.Enabled, "one unconfirmed rejection does not switch the customer off")
	require.Zero(t, f.count(`SELECT count(*) FROM alerts`))

	f.control(http.MethodPost, "/control/orgs/acme/revoke", nil, nil)
	f.advance(30 * time.Minute)

	f.await(soon, "the customer is switched off", func() bool { return !f.status("acme").Integration.Enabled })
	f.await(soon, "the alert is published", func() bool { return len(f.events(bus.StreamAlerts, "rollcall.alerts.high.auth_failed.acme")) == 1 })
	off := f.status("acme")
	require.Equal(t, new(event.AlertAuthFailed), off.Integration.DisabledReason)
	require.Equal(t, new(false), off.Health.IsHealthy)
	require.Equal(t, event.AlertAuthFailed, off.Health.Reasons[0].Code)
	require.Equal(t, new(event.AlertAuthFailed), off.Polling.OpenRun.ParkReason)
	f.control(http.MethodPost, "/control/report/reset", nil, nil)
	f.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1005, "last_name": "Changed"}}})
	f.advance(24 * time.Hour)
	f.requestPoll("acme")
	f.await(soon, "the request is settled", func() bool { return f.subjects(bus.StreamPoll, ">") == 0 })
	require.Zero(t, f.traffic().VOMO["acme"].Requests, "nothing is sent with a token that is bad")

	f.control(http.MethodPost, "/control/orgs/acme/restore", nil, nil)
	renewed := f.request("acme")
	renewed["pollCadenceMinutes"] = 30
	f.publish(bus.SubjectOnboard("acme"), renewed)

	f.await(soon, "it works again", func() bool { return f.status("acme").Integration.Enabled })
	f.afterPolls(soon)
	require.Equal(t, comparison{Source: 600, Destination: 600, Same: 600}, f.compare("acme"))
	seen := f.traffic().VOMO["acme"]
	require.LessOrEqual(t, seen.Requests, 4, "the test of the token, and who changed")
	require.Equal(t, 1, seen.Pages, "no page of a full scan")
	require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill'`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM alerts WHERE type = 'auth_failed' AND cleared_at IS NOT NULL`))
	well := f.status("acme")
	require.Equal(t, new(true), well.Health.IsHealthy, "%v", well.Health.Reasons)
}

func TestReconciliationOnRequestFindsMissedUsers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.startPolledCustomer("acme", 60, 30)
	f.start("rollcall.dev/services/reconciler")
	f.awaitNight()
	// At some hours of the day the test would pass the customer's night, and the daily reconciliation would find the gap first.
	_, err := f.pool.Exec(t.Context(), `UPDATE sync_configs SET next_reconcile_at = next_reconcile_at + interval '2 days'`)
	require.NoError(t, err)
	f.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1005, "last_name": "Changed"}}, "add": 2})
	f.advance(4 * time.Hour) // the checkpoint is at most an hour behind
	f.afterPolls(soon)
	_, err = f.pool.Exec(t.Context(), `DELETE FROM user_mappings WHERE vomo_user_id = '1005'`)
	require.NoError(t, err)
	f.control(http.MethodDelete, "/crm/acme/users/vomo-1005", nil, nil)

	require.Contains(t, f.operator("reconcile", "now", "acme", "--wait"), "1 gap")

	require.Equal(t, comparison{Source: 62, Destination: 62, Same: 62}, f.compare("acme"))
	status := f.status("acme")
	require.Equal(t, int64(1), *status.Reconciliation.Gaps)
	require.InDelta(t, 1/float64(*status.Reconciliation.Expected), *status.Health.AverageReconciliationGapRate, 1e-9)
	require.Contains(t, f.operator("reconcile", "now", "acme", "--wait"), "0 gaps")
}
