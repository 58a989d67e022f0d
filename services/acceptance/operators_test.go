package acceptance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// askService sends an operator's request to the services. After success, code is "" and reply has the answer.
func (f *fixture) askService(noun, verb string, question, reply any) (code, text string) {
	f.t.Helper()
	data, err := json.Marshal(question)
	require.NoError(f.t, err)
	answer, err := f.conn.Request(service.APISubject(noun, verb), data, soon)
	require.NoError(f.t, err)
	if code = answer.Header.Get("Nats-Service-Error-Code"); code == "" {
		require.NoError(f.t, json.Unmarshal(answer.Data, reply))
	}
	return code, answer.Header.Get("Nats-Service-Error")
}

// commanded sends a command that must succeed.
func (f *fixture) commanded(verb, customer string) operatorapi.BackfillCommanded {
	f.t.Helper()
	var done operatorapi.BackfillCommanded
	code, text := f.askService("backfills", verb, operatorapi.BackfillCommand{CustomerID: customer}, &done)
	require.Empty(f.t, code, text)
	return done
}

// resynced resyncs one user.
func (f *fixture) resynced(customer, id string) operatorapi.Resync {
	f.t.Helper()
	var result operatorapi.Resync
	f.askUntilFree("users", "resync", operatorapi.ResyncQuestion{CustomerID: customer, VomoID: id}, &result)
	return result
}

// askUntilFree sends a request that needs the lane, and repeats it while the holder keeps the lane.
func (f *fixture) askUntilFree(noun, verb string, question, reply any) {
	f.t.Helper()
	f.await(longest, noun+" "+verb+" is done", func() bool {
		code, text := f.askService(noun, verb, question, reply)
		require.Contains(f.t, []string{"", service.CodeBusy}, code, text)
		return code == ""
	})
}

// startBackfill onboards a customer with a slow destination and waits until its backfill is well under way.
func (f *fixture) startBackfill(customer string, users int) {
	f.t.Helper()
	f.organisation(customer, users)
	f.slowDown(120) // slow enough for a test on a busy machine
	f.onboard(customer)
	f.await(soon, "the run is under way", func() bool {
		run := f.backfill(customer)
		return run != nil && run.Processed >= int64(users/5)
	})
}

// awaitRelease waits until no worker holds the customer's lane, and no request waits.
func (f *fixture) awaitRelease(customer string) {
	f.t.Helper()
	f.await(soon, "no worker holds the lane", func() bool {
		return f.subjects("ROLLCALL_BACKFILL", ">") == 0 && f.count(`SELECT count(*) FROM outbox`) == 0 &&
			f.count(`SELECT count(*) FROM customer_leases WHERE customer_id = $1 AND expires_at > now()`, customer) == 0
	})
}

func TestPausedBackfillIsResumedOnlyByOperator(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.startBackfill("acme", 1500)

	done := f.commanded("pause", "acme")
	require.Equal(t, operatorapi.BackfillPaused, done.Action)
	f.awaitRelease("acme")
	stopped := f.backfill("acme")
	require.Equal(t, "paused", stopped.State)
	require.Equal(t, done.Backfill.Pages, stopped.Pages, "the page in hand was not committed")
	require.NotContains(t, f.logs(), "lane lost", "a worker that an operator stops makes no noise")

	f.publish(bus.SubjectBackfill("acme"), map[string]any{"customerId": "acme"})
	renewed := f.request("acme")
	renewed["adminEmail"] = "new@acme.example"
	f.publish(bus.SubjectOnboard("acme"), renewed)
	f.await(soon, "the onboarding is settled", func() bool {
		return f.count(`SELECT count(*) FROM onboarding_requests WHERE state = 'applied'`) == 2
	})
	f.start(programBackfill) // it requests runs that no worker holds
	f.awaitRelease("acme")
	require.Equal(t, operatorapi.BackfillAlreadyPaused, f.commanded("pause", "acme").Action)
	require.Equal(t, stopped.Pages, f.backfill("acme").Pages)
	require.Equal(t, "paused", f.backfill("acme").State)

	require.Equal(t, operatorapi.BackfillResumed, f.commanded("start", "acme").Action)
	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 1500)
	require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill'`), "the same run went on")
	for _, event := range []string{"paused", "resumed", "completed"} {
		f.await(soon, event+" is published", func() bool { return len(f.events("ROLLCALL_EVENTS", "rollcall.events.backfill."+event+".acme")) == 1 })
	}
	for verb, times := range map[string]int{
		"api backfills.pause": 2, "api backfills.start": 1, "message backfill.request": 1, "message onboarding.request": 2,
	} {
		require.Equal(t, times, f.count(`SELECT count(*) FROM operator_audit
			WHERE via || ' ' || verb = $1 AND customer_id = 'acme' AND outcome = 'done'`, verb), verb)
	}
	require.Equal(t, 6, f.count(`SELECT count(*) FROM operator_audit`), "rollcall's own requests are no acts of an operator")
}

func TestCancelledBackfillEndsAndNextOneIsFullResync(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.startBackfill("acme", 900)

	done := f.commanded("cancel", "acme")
	require.Equal(t, operatorapi.BackfillCancelled, done.Action)
	require.True(t, done.NotBackfilled)
	f.awaitRelease("acme")
	require.NotContains(t, f.logs(), "lane lost")
	code, text := f.askService("backfills", "cancel", operatorapi.BackfillCommand{CustomerID: "acme"}, nil)
	require.Equal(t, service.CodeConflict, code, text)
	require.Equal(t, 1, f.count(`SELECT count(*) FROM job_log WHERE outcome = 'failed' AND error_code = 'cancelled'`))

	started := f.commanded("start", "acme")
	require.Equal(t, operatorapi.BackfillStarted, started.Action)
	code, text = f.askService("backfills", "start", operatorapi.BackfillCommand{CustomerID: "acme"}, nil)
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "continues by itself")
	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 900)
	before := f.count(`SELECT extract(epoch FROM checkpoint)::int FROM sync_checkpoints`)

	require.Equal(t, operatorapi.BackfillStarted, f.commanded("start", "acme").Action)
	f.await(longest, "the full resync is complete", func() bool {
		run := f.backfill("acme")
		return run.ID > started.Backfill.ID && run.State == "completed"
	})
	again := f.backfill("acme")
	require.Equal(t, int64(900), again.Processed)
	require.Equal(t, int64(900), again.Skipped, "who is known is not written again")
	f.requireMirrored("acme", 900)
	require.GreaterOrEqual(t, f.count(`SELECT extract(epoch FROM checkpoint)::int FROM sync_checkpoints`), before)
	for event, times := range map[string]int{"onboarding.completed": 1, "backfill.cancelled": 1, "backfill.started": 3, "backfill.completed": 2} {
		f.await(soon, event+" is published", func() bool { return len(f.events("ROLLCALL_EVENTS", "rollcall.events."+event+".acme")) == times })
	}
}

func TestOldDestinationGetsNoWritesAfterChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programBackfill)
	for customer, change := range map[string]string{"acme": operatorapi.DestinationNewSystem, "globex": operatorapi.DestinationMoved} {
		f.startBackfill(customer, 900)
		address := f.sandbox + "/crm/" + customer + "-two"
		var changed operatorapi.ConfigChanged
		asked := operatorapi.ConfigChange{CustomerID: customer, ExternalSystemURL: &address}
		code, _ := f.askService("config", "set", asked, &changed)
		require.Equal(t, service.CodeBadRequest, code, "which of the two it is has to be said")
		asked.DestinationChange = change
		f.askUntilFree("config", "set", asked, &changed)
		old := f.traffic().CRM[customer].Writes
		require.Positive(t, old)

		f.awaitState(customer, "completed", longest)

		require.Equal(t, old, f.traffic().CRM[customer].Writes, "nothing is written to the old address after the change")
		require.Equal(t, 900, f.count(`SELECT count(*) FROM user_mappings WHERE customer_id = $1`, customer))
		if change == operatorapi.DestinationMoved {
			require.Equal(t, 900, old+f.traffic().CRM[customer+"-two"].Writes, "no user is written twice")
			require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND customer_id = $1`, customer), "the same run went on")
			continue
		}
		var moved comparison
		f.control(http.MethodGet, "/control/compare?org="+customer+"&tenant="+customer+"-two", nil, &moved)
		require.Equal(t, comparison{Source: 900, Destination: 900, Same: 900}, moved)
		require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND customer_id = $1 AND state = 'cancelled'`, customer))
		require.Equal(t, 1, f.traffic().CRM[customer+"-two"].MaxWritesPerRecord)
	}
	require.NotContains(t, f.logs(), "lane lost")
}

func TestResyncRestoresUserWhileBackfillHoldsLane(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.startBackfill("acme", 900)
	f.control(http.MethodDelete, "/crm/acme/users/vomo-1005", nil, nil)

	result := f.resynced("acme", "1005")

	require.Equal(t, operatorapi.ResyncWritten, result.Outcome)
	require.True(t, result.WasCurrent, "it was sent again although it was known")
	require.NotEqual(t, "completed", f.backfill("acme").State, "the backfill let it pass")
	require.Equal(t, operatorapi.ResyncNotFound, f.resynced("acme", "987654321").Outcome)
	require.Equal(t, 1, f.count(`SELECT count(*) FROM sync_audit WHERE record_id = '1005' AND operation = 'resync' AND succeeded`))
	f.awaitState("acme", "completed", longest)
	require.Equal(t, comparison{Source: 900, Destination: 900, Same: 900}, f.compare("acme"))
	require.Equal(t, 2, f.count(`SELECT count(*) FROM job_log WHERE job = 'user_resync' AND completed_at IS NOT NULL`))
	require.False(t, strings.Contains(f.logs(), "1005@") || strings.Contains(f.logs(), `"level":"error"`))
}
