package acceptance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

// asks puts an operator's question to the services; code is "" for an answer, which is then in reply.
func (h *house) asks(noun, verb string, question, reply any) (code, text string) {
	h.t.Helper()
	data, err := json.Marshal(question)
	require.NoError(h.t, err)
	answer, err := h.conn.Request(service.APISubject(noun, verb), data, soon)
	require.NoError(h.t, err)
	if code = answer.Header.Get("Nats-Service-Error-Code"); code == "" {
		require.NoError(h.t, json.Unmarshal(answer.Data, reply))
	}
	return code, answer.Header.Get("Nats-Service-Error")
}

// commanded asks for what must be done.
func (h *house) commanded(verb, customer string) report.BackfillCommanded {
	h.t.Helper()
	var done report.BackfillCommanded
	code, text := h.asks("backfills", verb, report.BackfillCommand{CustomerID: customer}, &done)
	require.Empty(h.t, code, text)
	return done
}

// resynced asks for one user.
func (h *house) resynced(customer, id string) report.Resync {
	h.t.Helper()
	var result report.Resync
	h.untilFree("users", "resync", report.ResyncQuestion{CustomerID: customer, VomoID: id}, &result)
	return result
}

// untilFree asks for what needs the lane, again while its holder is too slow to let go.
func (h *house) untilFree(noun, verb string, question, reply any) {
	h.t.Helper()
	h.until(longest, noun+" "+verb+" is done", func() bool {
		code, text := h.asks(noun, verb, question, reply)
		require.Contains(h.t, []string{"", service.CodeBusy}, code, text)
		return code == ""
	})
}

// underWay onboards a customer and waits until its backfill is well under way, with a slow destination.
func (h *house) underWay(customer string, users int) {
	h.t.Helper()
	h.organisation(customer, users)
	h.slow(120) // long enough for a test that is late on a busy machine
	h.onboard(customer)
	h.until(soon, "the run is under way", func() bool {
		run := h.backfill(customer)
		return run != nil && run.Processed >= int64(users/5)
	})
}

// untilLetGo waits until no worker holds the customer's lane, and no request waits.
func (h *house) untilLetGo(customer string) {
	h.t.Helper()
	h.until(soon, "nobody works on it", func() bool {
		return h.subjects("ROLLCALL_BACKFILL", ">") == 0 && h.count(`SELECT count(*) FROM outbox`) == 0 &&
			h.count(`SELECT count(*) FROM customer_leases WHERE customer_id = $1 AND expires_at > now()`, customer) == 0
	})
}

func TestAPausedBackfillIsWokenByNothingButAnOperator(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.underWay("acme", 1500)

	done := h.commanded("pause", "acme")
	require.Equal(t, report.BackfillPaused, done.Action)
	h.untilLetGo("acme")
	stopped := h.backfill("acme")
	require.Equal(t, "paused", stopped.State)
	require.Equal(t, done.Backfill.Pages, stopped.Pages, "the page in hand was not committed")
	require.NotContains(t, h.logs(), "lane lost", "a worker that an operator stops makes no noise")

	h.publish(bus.SubjectBackfill("acme"), map[string]any{"customerId": "acme"})
	renewed := h.request("acme")
	renewed["adminEmail"] = "new@acme.example"
	h.publish(bus.SubjectOnboard("acme"), renewed)
	h.until(soon, "the onboarding is settled", func() bool {
		return h.count(`SELECT count(*) FROM onboarding_requests WHERE state = 'applied'`) == 2
	})
	h.start(programBackfill) // which requests runs that no worker has
	h.untilLetGo("acme")
	require.Equal(t, report.BackfillAlreadyPaused, h.commanded("pause", "acme").Action)
	require.Equal(t, stopped.Pages, h.backfill("acme").Pages)
	require.Equal(t, "paused", h.backfill("acme").State)

	require.Equal(t, report.BackfillResumed, h.commanded("start", "acme").Action)
	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 1500)
	require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs`), "the same run went on")
	for _, event := range []string{"paused", "resumed", "completed"} {
		h.until(soon, event+" is told", func() bool { return len(h.events("ROLLCALL_EVENTS", "rollcall.events.backfill."+event+".acme")) == 1 })
	}
}

func TestACancelledBackfillEndsCleanlyAndANewOneIsAFullResync(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.underWay("acme", 900)

	done := h.commanded("cancel", "acme")
	require.Equal(t, report.BackfillCancelled, done.Action)
	require.True(t, done.NotBackfilled)
	h.untilLetGo("acme")
	require.NotContains(t, h.logs(), "lane lost")
	code, text := h.asks("backfills", "cancel", report.BackfillCommand{CustomerID: "acme"}, nil)
	require.Equal(t, service.CodeConflict, code, text)
	require.Equal(t, 1, h.count(`SELECT count(*) FROM job_log WHERE outcome = 'failed' AND error_code = 'cancelled'`))

	started := h.commanded("start", "acme")
	require.Equal(t, report.BackfillStarted, started.Action)
	code, text = h.asks("backfills", "start", report.BackfillCommand{CustomerID: "acme"}, nil)
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "goes on by itself")
	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 900)
	before := h.count(`SELECT extract(epoch FROM checkpoint)::int FROM sync_checkpoints`)

	require.Equal(t, report.BackfillStarted, h.commanded("start", "acme").Action)
	h.until(longest, "the full resync is complete", func() bool {
		run := h.backfill("acme")
		return run.ID > started.Backfill.ID && run.State == "completed"
	})
	again := h.backfill("acme")
	require.Equal(t, int64(900), again.Processed)
	require.Equal(t, int64(900), again.Skipped, "who is known is not written again")
	h.requireMirrored("acme", 900)
	require.GreaterOrEqual(t, h.count(`SELECT extract(epoch FROM checkpoint)::int FROM sync_checkpoints`), before)
	for event, times := range map[string]int{"onboarding.completed": 1, "backfill.cancelled": 1, "backfill.started": 3, "backfill.completed": 2} {
		h.until(soon, event+" is told", func() bool { return len(h.events("ROLLCALL_EVENTS", "rollcall.events."+event+".acme")) == times })
	}
}

func TestADestinationThatChangesDuringTheWorkIsWrittenToNoMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.start(programBackfill)
	for customer, change := range map[string]string{"acme": report.DestinationNewSystem, "globex": report.DestinationMoved} {
		h.underWay(customer, 900)
		address := h.sandbox + "/crm/" + customer + "-two"
		var changed report.ConfigChanged
		asked := report.ConfigChange{CustomerID: customer, ExternalSystemURL: &address}
		code, _ := h.asks("config", "set", asked, &changed)
		require.Equal(t, service.CodeBadRequest, code, "which of the two it is has to be said")
		asked.DestinationChange = change
		h.untilFree("config", "set", asked, &changed)
		old := h.traffic().CRM[customer].Writes
		require.Positive(t, old)

		h.untilState(customer, "completed", longest)

		require.Equal(t, old, h.traffic().CRM[customer].Writes, "nothing is written to the old address after the change")
		require.Equal(t, 900, h.count(`SELECT count(*) FROM user_mappings WHERE customer_id = $1`, customer))
		if change == report.DestinationMoved {
			require.Equal(t, 900, old+h.traffic().CRM[customer+"-two"].Writes, "nobody is written twice")
			require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs WHERE customer_id = $1`, customer), "the same run went on")
			continue
		}
		var moved comparison
		h.control(http.MethodGet, "/control/compare?org="+customer+"&tenant="+customer+"-two", nil, &moved)
		require.Equal(t, comparison{Source: 900, Destination: 900, Same: 900}, moved)
		require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs WHERE customer_id = $1 AND state = 'cancelled'`, customer))
		require.Equal(t, 1, h.traffic().CRM[customer+"-two"].MaxWritesPerRecord)
	}
	require.NotContains(t, h.logs(), "lane lost")
}

func TestOneUserIsRestoredWhileABackfillHoldsTheLane(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.underWay("acme", 900)
	h.control(http.MethodDelete, "/crm/acme/users/vomo-1005", nil, nil)

	result := h.resynced("acme", "1005")

	require.Equal(t, report.ResyncWritten, result.Outcome)
	require.True(t, result.WasCurrent, "it was sent again although it was known")
	require.NotEqual(t, "completed", h.backfill("acme").State, "the backfill let it pass")
	require.Equal(t, report.ResyncNotFound, h.resynced("acme", "987654321").Outcome)
	require.Equal(t, 1, h.count(`SELECT count(*) FROM sync_audit WHERE record_id = '1005' AND operation = 'resync' AND succeeded`))
	h.untilState("acme", "completed", longest)
	require.Equal(t, comparison{Source: 900, Destination: 900, Same: 900}, h.compare("acme"))
	require.Equal(t, 2, h.count(`SELECT count(*) FROM job_log WHERE job = 'user_resync' AND completed_at IS NOT NULL`))
	require.False(t, strings.Contains(h.logs(), "1005@") || strings.Contains(h.logs(), `"level":"error"`))
}
