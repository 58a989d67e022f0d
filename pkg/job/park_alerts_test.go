package job_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

// raiseDestinationDown raises the alert as another job does.
func (f *fixture) raiseDestinationDown() {
	f.t.Helper()
	require.NoError(f.t, f.store.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return job.RaiseParkAlert(ctx, tx, "acme", job.Park{Reason: event.AlertDestinationDown})
	}))
}

func (f *fixture) activeAlerts() []string {
	f.t.Helper()
	return values[string](f, `SELECT type FROM alerts WHERE cleared_at IS NULL`)
}

func TestPageWithoutWritesDoesNotClearDestinationAlert(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{job.ParkLaneWanted, job.ParkVomoThrottled} {
		f := newFixture(t)
		f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
		f.polled()
		f.exec(`UPDATE sync_checkpoints SET checkpoint = $1`, checkpoint)
		f.exec(`INSERT INTO job_log (customer_id, job, started_at) VALUES ('acme', 'user_sync_poll', now())`)
		//nolint:dupword // columns of the same moment
		f.exec(`INSERT INTO runs
				(customer_id, kind, job_id, trace_id, state, updated_after, covered_until, due_at, created_at, updated_at, park_reason, parks)
			SELECT 'acme', 'poll', id, '00-trace-01', 'parked', $1, $1, started_at, started_at, started_at, $2, 1
			FROM job_log WHERE completed_at IS NULL`, checkpoint, reason)
		f.raiseDestinationDown()

		f.polled() // who was read is known in this version

		require.Empty(t, f.run())
		require.Equal(t, []string{"destination_down"}, f.activeAlerts(), "the job that raised it finds out when it is over")
	}
}

func TestAcceptedRecordClearsDestinationAlertOfAnotherJob(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.raiseDestinationDown() // by a retry, say, whose letter is superseded by this poll
	f.sides.change(checkpoint.Add(time.Minute), "x", "1")

	f.polled()

	require.Empty(t, f.activeAlerts())
}

func TestLetterOfLastRecordDoesNotClearDestinationAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", "1")
	f.sides.set(func(w *sides) { w.crm = func(string) int { return http.StatusServiceUnavailable } })
	for range 6 { // a short page whose only record is not accepted: it may be the record's fault
		f.polled()
	}
	require.Empty(t, f.run())
	require.Equal(t, []string{"waiting"}, values[string](f, `SELECT state FROM dead_letters`))
	require.Equal(t, []string{"destination_down"}, f.activeAlerts(), "no record was accepted: it is as down as before")
	require.Zero(t, values[int](f, `SELECT count(*) FROM outbox WHERE msg_id LIKE '%-cleared'`)[0])
}
