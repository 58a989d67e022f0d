package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fixture is a scheduler on a real Postgres whose clock the test sets.
type fixture struct {
	*scheduler

	t    *testing.T
	pool *pgxpool.Pool
	now  time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	f := &fixture{t: t, pool: pool, scheduler: &scheduler{store: from, kind: pollKind(), lateness: newLateness(prometheus.NewRegistry())}}
	f.exec(`CREATE TABLE test_clock (at timestamptz); INSERT INTO test_clock VALUES (now());
		CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	f.setClock(time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC))
	return f
}

func (f *fixture) setClock(at time.Time) {
	f.t.Helper()
	f.now = at
	_, err := f.pool.Exec(f.t.Context(), `UPDATE test_clock SET at = $1`, at)
	require.NoError(f.t, err)
}

func (f *fixture) exec(statement string) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement)
	require.NoError(f.t, err)
}

// customers adds n customers that have completed their first backfill and are due at once.
func (f *fixture) customers(n, cadence int) {
	f.t.Helper()
	for i := range n {
		customer := fmt.Sprintf("c%03d", i)
		_, err := f.pool.Exec(f.t.Context(), `INSERT INTO sync_configs (customer_id, external_system_url, destination, poll_cadence_minutes,
			onboarded_at, updated_at, backfill_completed_at) VALUES ($1, '', '{}', $2, rollcall_now(), now(), rollcall_now())`, customer, cadence)
		require.NoError(f.t, err)
		_, err = f.pool.Exec(f.t.Context(), `INSERT INTO sync_checkpoints VALUES ($1, 'user_sync', '2026-03-01T00:00:00Z', now())`, customer)
		require.NoError(f.t, err)
	}
}

// scheduled runs the scheduler until no customer is due.
func (f *fixture) scheduled() {
	f.t.Helper()
	for {
		more, err := f.schedule(f.t.Context())
		require.NoError(f.t, err)
		if !more {
			return
		}
	}
}

// finishRuns ends the runs in progress, as a poller would.
func (f *fixture) finishRuns() {
	f.t.Helper()
	f.exec(`DELETE FROM runs; DELETE FROM outbox`)
}

func values[T any](f *fixture, query string) []T {
	f.t.Helper()
	rows, err := f.pool.Query(context.Background(), query)
	require.NoError(f.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(f.t, err)
	return got
}
