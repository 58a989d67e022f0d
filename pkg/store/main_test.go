package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// within bounds what a test waits for; nothing comes near it unless it is broken.
const within = 30 * time.Second

// fixture is a store on a database of its own, whose clock stands still until the test moves it.
type fixture struct {
	*store.Store
	url string
	raw *pgx.Conn // for the test's own goroutine: what the store keeps to itself
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	url := testkit.Database(t)
	raw, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = raw.Close(context.WithoutCancel(t.Context())) })
	f := &fixture{url: url, raw: raw}
	f.exec(t, `CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	f.exec(t, `INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	f.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	f.Store = openStore(t, url, store.Options{})
	return f
}

func openStore(t testing.TB, url string, options store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, options)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// advance moves the database's clock.
func (f *fixture) advance(t testing.TB, d time.Duration) {
	t.Helper()
	f.exec(t, `UPDATE test_clock SET at = at + $1::interval`, d)
}

func (f *fixture) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := f.raw.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// value is the one value that a statement returns.
func value[T any](t testing.TB, f *fixture, statement string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, f.raw.QueryRow(t.Context(), statement, args...).Scan(&v))
	return v
}

func (f *fixture) do(t testing.TB, work func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	require.NoError(t, f.InTx(t.Context(), work))
}

func (f *fixture) lease(t testing.TB, customer string) *store.Lease {
	t.Helper()
	lease, err := f.TakeLease(t.Context(), customer, "holder", 30*time.Second)
	require.NoError(t, err)
	return lease
}

// untilBlocked waits until that many statements in the database wait for a lock.
func (f *fixture) untilBlocked(t testing.TB, statements int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return statements == value[int](t, f, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	}, within, 5*time.Millisecond)
}

// atOnce runs work n times at once and waits for all.
func atOnce(n int, work func(i int)) {
	var running sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		running.Go(func() {
			<-start
			work(i)
		})
	}
	close(start)
	running.Wait()
}
