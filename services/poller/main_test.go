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

// office is a scheduler on a real Postgres, whose clock the test sets.
type office struct {
	*scheduler

	t    *testing.T
	pool *pgxpool.Pool
	now  time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	o := &office{t: t, pool: pool, scheduler: &scheduler{store: from, kind: pollKind(), lateness: newLateness(prometheus.NewRegistry())}}
	o.exec(`CREATE TABLE test_clock (at timestamptz); INSERT INTO test_clock VALUES (now());
		CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	o.timeIs(time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC))
	return o
}

func (o *office) timeIs(at time.Time) {
	o.t.Helper()
	o.now = at
	_, err := o.pool.Exec(o.t.Context(), `UPDATE test_clock SET at = $1`, at)
	require.NoError(o.t, err)
}

func (o *office) exec(statement string) {
	o.t.Helper()
	_, err := o.pool.Exec(o.t.Context(), statement)
	require.NoError(o.t, err)
}

// customers sets up n of them, through their first backfill and due at once.
func (o *office) customers(n, cadence int) {
	o.t.Helper()
	for i := range n {
		customer := fmt.Sprintf("c%03d", i)
		_, err := o.pool.Exec(o.t.Context(), `INSERT INTO sync_configs (customer_id, external_system_url, destination, poll_cadence_minutes,
			onboarded_at, updated_at, backfill_completed_at) VALUES ($1, '', '{}', $2, rollcall_now(), now(), rollcall_now())`, customer, cadence)
		require.NoError(o.t, err)
		_, err = o.pool.Exec(o.t.Context(), `INSERT INTO sync_checkpoints VALUES ($1, 'user_sync', '2026-03-01T00:00:00Z', now())`, customer)
		require.NoError(o.t, err)
	}
}

// scheduled runs the scheduler until nobody is due.
func (o *office) scheduled() {
	o.t.Helper()
	for {
		more, err := o.schedule(o.t.Context())
		require.NoError(o.t, err)
		if !more {
			return
		}
	}
}

// done ends the runs that are under way, as a poller would.
func (o *office) done() {
	o.t.Helper()
	o.exec(`DELETE FROM sync_runs; DELETE FROM outbox`)
}

func values[T any](o *office, query string) []T {
	o.t.Helper()
	rows, err := o.pool.Query(context.Background(), query)
	require.NoError(o.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(o.t, err)
	return got
}
