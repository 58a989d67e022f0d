package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestDestinationOutageParksBackfillAndOpensNoLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 1500)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.slowDown(40)
	f.onboard("acme")
	f.await(soon, "the run is under way", func() bool {
		run := f.backfill("acme")
		return run != nil && run.Processed > 200
	})
	f.control(http.MethodPost, "/control/faults", map[string]any{"target": "crm", "kind": "status", "status": 503, "seconds": 30}, nil)
	down := time.Now()
	f.awaitState("acme", "parked", soon)
	require.Equal(t, "destination_down", *f.backfill("acme").ParkReason)
	f.awaitState("acme", "completed", longest)
	t.Logf("complete %s after the destination went down for 30 s", time.Since(down).Round(time.Second))
	f.requireMirrored("acme", 1500)
	require.Zero(t, f.count(`SELECT count(*) FROM dead_letters`))
	f.await(soon, "the condition is raised once and cleared once", func() bool {
		return len(f.events("ROLLCALL_ALERTS", "rollcall.alerts.medium.destination_down.acme")) == 2
	})
}

func TestRejectedUserOpensOneLetterAndAllOthersAreMirrored(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 300)
	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "kind": "status", "status": 422, "code": "email_invalid", "records": []string{"vomo-1100"},
	}, nil)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programDLQRetry)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	require.Equal(t, comparison{Source: 300, Destination: 299, Same: 299, Missing: 1}, f.compare("acme"))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM dead_letters WHERE record_id = '1100' AND error_code = 'email_invalid' AND state = 'review'`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM dead_letters`))
	require.Zero(t, f.count(`SELECT count(*) FROM user_mappings WHERE vomo_user_id = '1100'`), "no mapping before the first success")
	f.await(soon, "the letter is shown", func() bool { return len(f.events("ROLLCALL_DLQ", "rollcall.dlq.review.user.acme.*")) == 1 })
	letter := f.events("ROLLCALL_DLQ", "rollcall.dlq.review.user.acme.*")[0]
	require.Equal(t, "1100", letter.Headers().Get(bus.HeaderRecordID))
	require.Equal(t, "permanent", letter.Headers().Get(bus.HeaderErrorClass))
	require.NotContains(t, string(letter.Data()), "@", "a letter carries no person's data")
}

func TestRevokedTokenParksBackfillAndNewTokenResumesIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 1500)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.slowDown(40)
	f.onboard("acme")
	f.await(soon, "the run is under way", func() bool {
		run := f.backfill("acme")
		return run != nil && run.Processed > 200
	})
	f.control(http.MethodPost, "/control/orgs/acme/revoke", nil, nil)
	f.awaitState("acme", "parked", soon)
	require.Equal(t, "auth_failed", *f.backfill("acme").ParkReason)
	stopped := f.backfill("acme").Pages
	f.control(http.MethodPost, "/control/orgs/acme/restore", nil, nil)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 1500)
	require.Greater(t, stopped, int64(10))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill'`), "no new backfill: the parked one goes on")
	require.Equal(t, 1, f.traffic().CRM["acme"].MaxWritesPerRecord)
}

func TestBackfillSurvivesVOMOOutagesAndThrottling(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 1500)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.slowDown(40)
	f.onboard("acme")
	f.await(soon, "the run is under way", func() bool {
		run := f.backfill("acme")
		return run != nil && run.Processed > 100
	})
	for _, fault := range []map[string]any{
		{"kind": "status", "status": 429, "retryAfter": "1", "count": 3}, {"kind": "status", "status": 429, "count": 2},
		{"kind": "status", "status": 500, "probability": 0.2, "count": 10}, {"kind": "broken_body", "probability": 0.2, "count": 5},
		{"kind": "drop", "probability": 0.2, "count": 5},
	} {
		fault["target"] = "vomo"
		f.control(http.MethodPost, "/control/faults", fault, nil)
	}
	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 1500)
	require.Zero(t, f.count(`SELECT count(*) FROM dead_letters`))
	statuses := f.traffic().VOMO["acme"].Statuses
	require.Equal(t, 5, statuses["429"])
	require.Positive(t, statuses["500"])
}

func TestLostStreamIsRestoredFromPostgres(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 60)
	f.start(programOnboarding)
	f.onboard("acme")
	f.awaitState("acme", "queued", soon)
	f.await(soon, "the request stands in the stream", func() bool { return f.subjects("ROLLCALL_BACKFILL", ">") == 1 })
	stream, err := f.js.Stream(t.Context(), bus.StreamBackfill)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	// Runs that changed within a minute may have a message under way; they are requested again after that.
	_, err = f.pool.Exec(t.Context(), `UPDATE backfill_runs SET updated_at = updated_at - interval '1 minute';
		UPDATE runs SET updated_at = updated_at - interval '1 minute'`)
	require.NoError(t, err)
	f.start(programBackfill)
	f.awaitState("acme", "completed", soon)
	f.requireMirrored("acme", 60)
}
