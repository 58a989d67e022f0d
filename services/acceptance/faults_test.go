package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestADestinationThatIsDownParksTheJobAndMakesNoLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 1500)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.slow(40)
	h.onboard("acme")
	h.until(soon, "the run is under way", func() bool {
		run := h.backfill("acme")
		return run != nil && run.Processed > 200
	})
	h.control(http.MethodPost, "/control/faults", map[string]any{"target": "crm", "kind": "status", "status": 503, "seconds": 30}, nil)
	down := time.Now()
	h.untilState("acme", "parked", soon)
	require.Equal(t, "destination_down", *h.backfill("acme").ParkReason)
	h.untilState("acme", "completed", longest)
	t.Logf("complete %s after the destination went down for 30 s", time.Since(down).Round(time.Second))
	h.requireMirrored("acme", 1500)
	require.Zero(t, h.count(`SELECT count(*) FROM dead_letters`))
	h.until(soon, "the condition is raised once and cleared once", func() bool {
		return len(h.events("ROLLCALL_ALERTS", "rollcall.alerts.medium.destination_down.acme")) == 2
	})
}

func TestARefusedUserIsOneLetterAndEverybodyElseIsMirrored(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 300)
	h.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "kind": "status", "status": 422, "code": "email_invalid", "records": []string{"vomo-1100"},
	}, nil)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.start(programDLQRetry)
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	require.Equal(t, comparison{Source: 300, Destination: 299, Same: 299, Missing: 1}, h.compare("acme"))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM dead_letters WHERE record_id = '1100' AND error_code = 'email_invalid' AND state = 'review'`))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM dead_letters`))
	require.Zero(t, h.count(`SELECT count(*) FROM user_mappings WHERE vomo_user_id = '1100'`), "no mapping before the first success")
	h.until(soon, "the letter is shown", func() bool { return len(h.events("ROLLCALL_DLQ", "rollcall.dlq.review.user.acme")) == 1 })
	letter := h.events("ROLLCALL_DLQ", "rollcall.dlq.review.user.acme")[0]
	require.Equal(t, "1100", letter.Headers().Get(bus.HeaderRecordID))
	require.Equal(t, "permanent", letter.Headers().Get(bus.HeaderErrorClass))
	require.NotContains(t, string(letter.Data()), "@", "a letter carries no person's data")
}

func TestARevokedTokenParksTheBackfillAndANewOneResumesIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 1500)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.slow(40)
	h.onboard("acme")
	h.until(soon, "the run is under way", func() bool {
		run := h.backfill("acme")
		return run != nil && run.Processed > 200
	})
	h.control(http.MethodPost, "/control/orgs/acme/revoke", nil, nil)
	h.untilState("acme", "parked", soon)
	require.Equal(t, "auth_failed", *h.backfill("acme").ParkReason)
	stopped := h.backfill("acme").Pages
	h.control(http.MethodPost, "/control/orgs/acme/restore", nil, nil)
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 1500)
	require.Greater(t, stopped, int64(10))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs`), "no new backfill: the parked one goes on")
	require.Equal(t, 1, h.traffic().CRM["acme"].MaxWritesPerRecord)
}

func TestVomoInTroubleIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 1500)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.slow(40)
	h.onboard("acme")
	h.until(soon, "the run is under way", func() bool {
		run := h.backfill("acme")
		return run != nil && run.Processed > 100
	})
	for _, fault := range []map[string]any{
		{"kind": "status", "status": 429, "retryAfter": "1", "count": 3}, {"kind": "status", "status": 429, "count": 2},
		{"kind": "status", "status": 500, "probability": 0.2, "count": 10}, {"kind": "broken_body", "probability": 0.2, "count": 5},
		{"kind": "drop", "probability": 0.2, "count": 5},
	} {
		fault["target"] = "vomo"
		h.control(http.MethodPost, "/control/faults", fault, nil)
	}
	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 1500)
	require.Zero(t, h.count(`SELECT count(*) FROM dead_letters`))
	statuses := h.traffic().VOMO["acme"].Statuses
	require.Equal(t, 5, statuses["429"])
	require.Positive(t, statuses["500"])
}

func TestALostStreamIsMadeGoodFromPostgres(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 60)
	h.start(programOnboarding)
	h.onboard("acme")
	h.untilState("acme", "queued", soon)
	h.until(soon, "the request stands in the stream", func() bool { return h.subjects("ROLLCALL_BACKFILL", ">") == 1 })
	stream, err := h.js.Stream(t.Context(), bus.StreamBackfill)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	// What was touched within a minute may have its message under way: it is requested again after that.
	_, err = h.pool.Exec(t.Context(), `UPDATE backfill_runs SET updated_at = updated_at - interval '1 minute'`)
	require.NoError(t, err)
	h.start(programBackfill)
	h.untilState("acme", "completed", soon)
	h.requireMirrored("acme", 60)
}
