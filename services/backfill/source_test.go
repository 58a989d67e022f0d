package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// queued begins acme's backfill.
func (f *fixture) queued(t *testing.T) int64 {
	t.Helper()
	var id int64
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		id, _, err = tx.StartBackfill(ctx, "acme", jobInitialBackfill, "00-trace-01")
		return err
	}))
	return id
}

const byHand = `{"customerId":"acme"}`

// wakeParked does what a service does each second.
func (f *fixture) wakeParked(t *testing.T) {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.WakeParkedRuns(ctx, store.KindBackfill)
		return err
	}))
}

// received is what the worker makes of a request.
func (f *fixture) received(t *testing.T) error {
	t.Helper()
	return f.worker.handle(t.Context(), &worker.Delivery{Subject: "rollcall.backfill.request.acme", Data: []byte(byHand)})
}

func TestBackfillIsGivenUpAfterRejectionsInARowAndSaysWhatVOMOAnswered(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.worker.runner.Kind.Tries = 3
	f.queued(t)
	for _, refusal := range []struct {
		status int
		state  string
	}{
		{http.StatusNotAcceptable, "parked 1"}, {http.StatusBadRequest, "parked 2"},
		{http.StatusInternalServerError, "parked 0"}, // not in a row
		{http.StatusNotAcceptable, "parked 1"}, {http.StatusBadRequest, "parked 2"},
	} {
		f.set(func() { f.vomo = refusal.status })
		require.NoError(t, f.received(t))
		require.Equal(t, refusal.state, f.text(t, `SELECT state || ' ' || refusals FROM all_runs`))
		require.Zero(t, f.count(t, `SELECT count(*) FROM alerts`))
	}
	f.set(func() { f.vomo = http.StatusNotAcceptable })

	given := f.received(t)

	require.Equal(t, fault.KindPermanent, fault.KindOf(given), "the message becomes a letter")
	require.Equal(t, "vomo_http_406", fault.CodeOf(given))
	require.Equal(t, "failed", f.text(t, `SELECT state FROM all_runs`))
	require.Equal(t, "initial_backfill failed vomo_http_406", f.text(t, `SELECT concat_ws(' ', job, outcome, error_code) FROM job_log`))
	require.Equal(t, "backfill_failed", f.text(t, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	const said = "406"
	require.Contains(t, f.text(t, `SELECT convert_from(payload, 'utf8') FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`), said)
	status, err := report.StatusOf(t.Context(), f.store, "acme")
	require.NoError(t, err)
	require.Len(t, status.Health.Reasons, 1)
	reason := status.Health.Reasons[0]
	require.Equal(t, "backfill_failed", reason.Code)
	require.Contains(t, reason.Text, said)
	require.Contains(t, reason.Text, "in each of 3 attempts in a row")
	require.NotEmpty(t, reason.Remedy)
	require.NotNil(t, reason.Since)
}

func TestPauseThatVOMONamesWithA503IsKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, statement := range []string{
		`CREATE TABLE test_clock (at timestamptz NOT NULL)`, `INSERT INTO test_clock VALUES (now())`,
		`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`,
	} {
		_, err := f.pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	passes := func(seconds int) {
		_, err := f.pool.Exec(t.Context(), `UPDATE test_clock SET at = at + make_interval(secs => $1)`, seconds)
		require.NoError(t, err)
		f.wakeParked(t)
	}
	f.queued(t)
	f.set(func() { f.vomo, f.pause = http.StatusServiceUnavailable, "12" })

	require.NoError(t, f.received(t))

	require.Equal(t, 1, f.reads, "none is tried again in place")
	require.Equal(t, "parked vomo_unavailable", f.text(t, `SELECT state || ' ' || park_reason FROM all_runs`))
	require.InDelta(t, 12, f.seconds(t, `SELECT extract(epoch FROM next_at - rollcall_now()) FROM customer_budgets`), 0.1, "for every job of the customer")
	passes(11)
	require.Equal(t, "parked", f.text(t, `SELECT state FROM all_runs`))
	f.set(func() { f.vomo = 0 })
	passes(1)
	require.Equal(t, "queued", f.text(t, `SELECT state FROM all_runs`))
	require.NoError(t, f.received(t))
	require.Equal(t, "completed", f.text(t, `SELECT state FROM all_runs`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM alerts`))
}

func (f *fixture) text(t *testing.T, query string) string {
	t.Helper()
	var text string
	require.NoError(t, f.pool.QueryRow(t.Context(), query).Scan(&text))
	return text
}

func (f *fixture) seconds(t *testing.T, query string) float64 {
	t.Helper()
	var seconds float64
	require.NoError(t, f.pool.QueryRow(t.Context(), query).Scan(&seconds))
	return seconds
}
