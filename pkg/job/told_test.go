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

// told has another job tell that the destination is down.
func (h *house) told() {
	h.t.Helper()
	require.NoError(h.t, h.store.InTx(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return job.TellPark(ctx, tx, "acme", job.Park{Reason: event.AlertDestinationDown})
	}))
}

func (h *house) standing() []string {
	h.t.Helper()
	return values[string](h, `SELECT type FROM alerts WHERE cleared_at IS NULL`)
}

func TestAPageThatHadNothingToWriteSaysNothingOfTheDestination(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{job.ParkLaneWanted, job.ParkVomoThrottled} {
		h := newHouse(t)
		h.world.change(checkpoint.Add(time.Minute), "x", ids(3)...)
		h.polled()
		h.exec(`UPDATE sync_checkpoints SET checkpoint = $1`, checkpoint)
		h.exec(`INSERT INTO job_log (customer_id, job, started_at) VALUES ('acme', 'user_sync_poll', now())`)
		//nolint:dupword // columns of the same moment
		h.exec(`INSERT INTO sync_runs
				(customer_id, kind, job_id, trace_id, state, updated_after, covered_until, due_at, created_at, updated_at, park_reason, parks)
			SELECT 'acme', 'poll', id, '00-trace-01', 'parked', $1, $1, started_at, started_at, started_at, $2, 1
			FROM job_log WHERE completed_at IS NULL`, checkpoint, reason)
		h.told()

		h.polled() // who was read is known in this version

		require.Empty(t, h.run())
		require.Equal(t, []string{"destination_down"}, h.standing(), "whoever told of it finds out when it is over")
	}
}

func TestARecordThatIsTakenEndsWhatAnotherJobToldOfTheDestination(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.told() // by a retry, say, whose letter is superseded by this poll
	h.world.change(checkpoint.Add(time.Minute), "x", "1")

	h.polled()

	require.Empty(t, h.standing())
}

func TestADestinationThatIsStillDownIsNotToldToWorkAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", "1")
	h.world.set(func(w *world) { w.crm = func(string) int { return http.StatusServiceUnavailable } })
	for range 6 { // a short page whose only record nobody takes: it may be the record's fault
		h.polled()
	}
	require.Empty(t, h.run())
	require.Equal(t, []string{"waiting"}, values[string](h, `SELECT state FROM dead_letters`))
	require.Equal(t, []string{"destination_down"}, h.standing(), "nothing was taken: it is as down as before")
	require.Zero(t, values[int](h, `SELECT count(*) FROM outbox WHERE msg_id LIKE '%-cleared'`)[0])
}
