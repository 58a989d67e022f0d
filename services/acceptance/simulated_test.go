package acceptance_test

import (
	"errors"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// advance advances the clock of the database, which is that of all services, and the clock of the sandbox.
func (f *fixture) advance(d time.Duration) {
	f.t.Helper()
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS test_clock AS SELECT interval '0' AS ahead`,
		`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`,
	} {
		_, err := f.pool.Exec(f.t.Context(), statement)
		require.NoError(f.t, err)
	}
	// The sandbox comes first, so that VOMO's clock is never far behind ours.
	f.control(http.MethodPut, "/control/clock", map[string]any{"advanceSeconds": d.Seconds()}, nil)
	_, err := f.pool.Exec(f.t.Context(), `UPDATE test_clock SET ahead = ahead + make_interval(secs => $1)`, d.Seconds())
	require.NoError(f.t, err)
}

// batch edits many users of an organisation with one updated_at, and returns that time.
func (f *fixture) batch(organisation string, what map[string]any) (at string) {
	f.t.Helper()
	var answer struct{ At string }
	f.control(http.MethodPost, "/control/orgs/"+organisation+"/users:batch", what, &answer)
	return answer.At
}

// polls returns how many polls of a customer have completed.
func (f *fixture) polls(customer string) int {
	f.t.Helper()
	return f.count(`SELECT count(*) FROM job_log WHERE customer_id = $1 AND job = 'user_sync_poll' AND outcome = 'success'`, customer)
}

// afterPolls waits until every poll that is due has completed.
func (f *fixture) afterPolls(within time.Duration) {
	f.t.Helper()
	f.await(within, "all polls that are due are done", func() bool {
		return f.count(`SELECT count(*) FROM sync_configs WHERE backfill_completed_at IS NOT NULL AND enabled AND paused_at IS NULL
			AND (next_poll_at IS NULL OR next_poll_at <= rollcall_now())`) == 0 && f.count(`SELECT count(*) FROM runs WHERE kind = 'poll'`) == 0
	})
}

// awaitNight waits until the reconciler has set the customers' next nights. A clock that is put forward before that would be the
// one from which they are counted.
func (f *fixture) awaitNight() {
	f.t.Helper()
	f.await(soon, "the next nights are known", func() bool {
		return f.count(`SELECT count(*) FROM sync_configs WHERE backfill_completed_at IS NOT NULL AND next_reconcile_at IS NULL`) == 0
	})
}

// poll requests a poll by hand. If a request is already in the stream, that one is enough.
func (f *fixture) poll(customer string) {
	f.t.Helper()
	_, err := f.js.Publish(f.t.Context(), bus.SubjectPoll(customer), []byte(`{"customerId":"`+customer+`"}`))
	var refused *jetstream.APIError
	require.True(f.t, err == nil || errors.As(err, &refused), err)
}
