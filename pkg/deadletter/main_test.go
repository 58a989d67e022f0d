package deadletter_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// now is the time of the database's clock.
var now = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)

// fixture is a store with its own database.
type fixture struct {
	store *store.Store
	pool  *pgxpool.Pool // reads the tables directly, without the store
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
	f := &fixture{store: from, pool: pool}
	f.clock(t, now)
	return f
}

// clock sets the database's clock.
func (f *fixture) clock(t *testing.T, at time.Time) {
	t.Helper()
	f.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '`+
		at.Format(time.RFC3339Nano)+`' $$`)
}

func (f *fixture) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// values returns the one column of a query.
func values[T any](t *testing.T, f *fixture, query string, arguments ...any) []T {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), query, arguments...)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return got
}

// open opens record letters in a transaction of their own.
func (f *fixture) open(t *testing.T, rejections ...deadletter.Rejection) error {
	t.Helper()
	return f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: "acme", Job: "initial_backfill", TraceID: "00-trace-01"}, rejections)
	})
}

func rejection(id string, at time.Time, retryable bool) deadletter.Rejection {
	code := "http_422"
	if retryable {
		code = "destination_5xx"
	}
	return deadletter.Rejection{RecordID: id, Version: store.Version{UpdatedAt: at, Hash: []byte("hash of " + id)}, Code: code, Retryable: retryable}
}
