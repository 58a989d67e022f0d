package acceptance_test

import (
	"errors"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// ahead moves the clock of the database, and so of all services, and that of the sandbox on by the same.
func (h *house) ahead(d time.Duration) {
	h.t.Helper()
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS test_clock AS SELECT interval '0' AS ahead`,
		`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`,
	} {
		_, err := h.pool.Exec(h.t.Context(), statement)
		require.NoError(h.t, err)
	}
	// The sandbox first: VOMO's clock is never behind ours by a leap.
	h.control(http.MethodPut, "/control/clock", map[string]any{"advanceSeconds": d.Seconds()}, nil)
	_, err := h.pool.Exec(h.t.Context(), `UPDATE test_clock SET ahead = ahead + make_interval(secs => $1)`, d.Seconds())
	require.NoError(h.t, err)
}

// batch edits many users of an organisation at once, at one moment, and returns it.
func (h *house) batch(organisation string, what map[string]any) (at string) {
	h.t.Helper()
	var answer struct{ At string }
	h.control(http.MethodPost, "/control/orgs/"+organisation+"/users:batch", what, &answer)
	return answer.At
}

// polls is how many polls of a customer have come to their end.
func (h *house) polls(customer string) int {
	h.t.Helper()
	return h.count(`SELECT count(*) FROM job_log WHERE customer_id = $1 AND job = 'user_sync_poll' AND outcome = 'success'`, customer)
}

// afterPolls waits until every poll that is due has come to its end.
func (h *house) afterPolls(within time.Duration) {
	h.t.Helper()
	h.until(within, "all polls that are due are done", func() bool {
		return h.count(`SELECT count(*) FROM sync_configs WHERE backfill_completed_at IS NOT NULL AND enabled AND paused_at IS NULL
			AND (next_poll_at IS NULL OR next_poll_at <= rollcall_now())`) == 0 && h.count(`SELECT count(*) FROM sync_runs WHERE kind = 'poll'`) == 0
	})
}

// poll asks for a poll by hand; where a request stands in the stream already, that one is as good.
func (h *house) poll(customer string) {
	h.t.Helper()
	_, err := h.js.Publish(h.t.Context(), bus.SubjectPoll(customer), []byte(`{"customerId":"`+customer+`"}`))
	var refused *jetstream.APIError
	require.True(h.t, err == nil || errors.As(err, &refused), err)
}
