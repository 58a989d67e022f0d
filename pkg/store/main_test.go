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

// bed is a store on a database of its own, whose clock stands still until the test moves it.
type bed struct {
	*store.Store
	url string
	raw *pgx.Conn // for the test's own goroutine: what the store keeps to itself
}

func newBed(t testing.TB) *bed {
	t.Helper()
	url := testkit.Database(t)
	raw, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = raw.Close(context.WithoutCancel(t.Context())) })
	b := &bed{url: url, raw: raw}
	b.exec(t, `CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	b.exec(t, `INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	b.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	b.Store = openStore(t, url, store.Options{})
	return b
}

func openStore(t testing.TB, url string, options store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, options)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// advance moves the database's clock.
func (b *bed) advance(t testing.TB, d time.Duration) {
	t.Helper()
	b.exec(t, `UPDATE test_clock SET at = at + $1::interval`, d)
}

func (b *bed) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := b.raw.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// value is the one value that a statement returns.
func value[T any](t testing.TB, b *bed, statement string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, b.raw.QueryRow(t.Context(), statement, args...).Scan(&v))
	return v
}

func (b *bed) do(t testing.TB, work func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	require.NoError(t, b.InTx(t.Context(), work))
}

func (b *bed) lease(t testing.TB, customer string) *store.Lease {
	t.Helper()
	lease, err := b.TakeLease(t.Context(), customer, "holder", 30*time.Second)
	require.NoError(t, err)
	return lease
}

// untilBlocked waits until that many statements in the database wait for a lock.
func (b *bed) untilBlocked(t testing.TB, statements int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return statements == value[int](t, b, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	}, within, 5*time.Millisecond)
}

// together runs work n times at once and waits for all.
func together(n int, work func(i int)) {
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
