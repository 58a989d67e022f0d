package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// queued begins acme's backfill.
func (c *counter) queued(t *testing.T) int64 {
	t.Helper()
	var id int64
	require.NoError(t, c.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		id, _, err = tx.StartRun(ctx, "acme", jobInitialBackfill, "00-trace-01")
		return err
	}))
	return id
}

// received is what the worker makes of a request.
func (c *counter) received(t *testing.T) error {
	t.Helper()
	return c.worker.handle(t.Context(), &worker.Delivery{Subject: "rollcall.backfill.request.acme", Data: []byte(byHand)})
}

func TestABackfillIsGivenUpAfterRefusalsInARowAndSaysWhatVOMOAnsweredAndHowOften(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.worker.tries = 3
	c.queued(t)
	for _, refusal := range []struct {
		status int
		state  string
	}{
		{http.StatusNotAcceptable, "parked 1"}, {http.StatusBadRequest, "parked 2"},
		{http.StatusInternalServerError, "parked 0"}, // not in a row
		{http.StatusNotAcceptable, "parked 1"}, {http.StatusBadRequest, "parked 2"},
	} {
		c.set(func() { c.vomo = refusal.status })
		require.NoError(t, c.received(t))
		require.Equal(t, refusal.state, c.text(t, `SELECT state || ' ' || refusals FROM backfill_runs`))
		require.Zero(t, c.count(t, `SELECT count(*) FROM alerts`))
	}
	c.set(func() { c.vomo = http.StatusNotAcceptable })

	given := c.received(t)

	require.Equal(t, fault.KindPermanent, fault.KindOf(given), "the message becomes a letter")
	require.Equal(t, "vomo_http_406", fault.CodeOf(given))
	require.Equal(t, "failed", c.text(t, `SELECT state FROM backfill_runs`))
	require.Equal(t, "initial_backfill failed vomo_http_406", c.text(t, `SELECT concat_ws(' ', job, outcome, error_code) FROM job_log`))
	require.Equal(t, "backfill_failed", c.text(t, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	const said = "406"
	require.Contains(t, c.text(t, `SELECT convert_from(payload, 'utf8') FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`), said)
	status, err := report.StatusOf(t.Context(), c.store, "acme")
	require.NoError(t, err)
	require.Len(t, status.Health.Reasons, 1)
	reason := status.Health.Reasons[0]
	require.Equal(t, "backfill_failed", reason.Code)
	require.Contains(t, reason.Text, said)
	require.Contains(t, reason.Text, "in each of 3 attempts in a row")
	require.NotEmpty(t, reason.Remedy)
	require.NotNil(t, reason.Since)
}

func TestAPauseThatVOMONamesWithA503IsKept(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	for _, statement := range []string{
		`CREATE TABLE test_clock (at timestamptz NOT NULL)`, `INSERT INTO test_clock VALUES (now())`,
		`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`,
	} {
		_, err := c.pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	watch := &watch{store: c.store, logger: zap.NewNop()}
	passes := func(seconds int) {
		_, err := c.pool.Exec(t.Context(), `UPDATE test_clock SET at = at + make_interval(secs => $1)`, seconds)
		require.NoError(t, err)
		require.NoError(t, watch.wakeParked(t.Context()))
	}
	c.queued(t)
	c.set(func() { c.vomo, c.pause = http.StatusServiceUnavailable, "12" })

	require.NoError(t, c.received(t))

	require.Equal(t, 1, c.reads, "none is tried again in place")
	require.Equal(t, "parked vomo_unavailable", c.text(t, `SELECT state || ' ' || park_reason FROM backfill_runs`))
	require.InDelta(t, 12, c.seconds(t, `SELECT extract(epoch FROM next_at - rollcall_now()) FROM customer_budgets`), 0.1, "for every job of the customer")
	passes(11)
	require.Equal(t, "parked", c.text(t, `SELECT state FROM backfill_runs`))
	c.set(func() { c.vomo = 0 })
	passes(1)
	require.Equal(t, "queued", c.text(t, `SELECT state FROM backfill_runs`))
	require.NoError(t, c.received(t))
	require.Equal(t, "completed", c.text(t, `SELECT state FROM backfill_runs`))
	require.Zero(t, c.count(t, `SELECT count(*) FROM alerts`))
}

func (c *counter) text(t *testing.T, query string) string {
	t.Helper()
	var text string
	require.NoError(t, c.pool.QueryRow(t.Context(), query).Scan(&text))
	return text
}

func (c *counter) seconds(t *testing.T, query string) float64 {
	t.Helper()
	var seconds float64
	require.NoError(t, c.pool.QueryRow(t.Context(), query).Scan(&seconds))
	return seconds
}
