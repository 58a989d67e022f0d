package store_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// as is the database's URL for a role of its own, which may do everything; it goes with the test.
func (f *fixture) as(t *testing.T, role string) string {
	t.Helper()
	u, err := url.Parse(f.url)
	require.NoError(t, err)
	name := role + "_" + strings.TrimPrefix(u.Path, "/rollcall_test_")
	f.exec(t, `CREATE ROLE `+name+` LOGIN SUPERUSER PASSWORD 'app'`)
	t.Cleanup(func() { // before the raw connection is closed
		_, err := f.raw.Exec(context.WithoutCancel(t.Context()), `DROP ROLE `+name)
		require.NoError(t, err)
	})
	u.User = url.UserPassword(name, "app")
	return u.String()
}

// Case postgres/read-only-connections.md: the sessions of the pool became read-only, new ones would not be.
func TestSessionsThatBecameReadOnlyAreGivenUpWithTheFirstThatCannotWrite(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	app := openStore(t, f.as(t, "app"), store.Options{MaxConns: 8})
	var holding sync.WaitGroup
	holding.Add(8)
	atOnce(8, func(int) { // eight sessions at once, each of which becomes read-only
		err := app.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			holding.Done()
			holding.Wait()
			return tx.SetReadOnlySession(ctx)
		})
		if err != nil {
			t.Error(err)
		}
	})

	failed := 0
	for range 20 {
		err := app.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.Publish(ctx, store.Message{Subject: "s", ID: "m", Payload: []byte("{}")})
		})
		if err != nil {
			require.ErrorContains(t, err, "25006")
			failed++
		}
	}

	require.Equal(t, 1, failed, "the first statement fails, and no other")
}

func TestAServerThatTakesNoWritesIsNotTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	address := f.as(t, "app")
	app := openStore(t, address, store.Options{MaxConns: 2})
	require.NoError(t, app.Ping(t.Context()))
	u, err := url.Parse(address)
	require.NoError(t, err)

	f.exec(t, `ALTER ROLE `+u.User.Username()+` SET default_transaction_read_only = on`)
	f.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1`, u.User.Username())

	_, err = store.Open(t.Context(), address, store.Options{})
	require.ErrorIs(t, err, store.ErrReadOnly)
	require.Eventually(t, func() bool { return app.Ping(t.Context()) != nil }, within, time.Millisecond)
	f.exec(t, `ALTER ROLE `+u.User.Username()+` RESET default_transaction_read_only`)
	require.NoError(t, app.Ping(t.Context()), "at once, without a restart")
}

func TestPingSaysThatASessionCannotWriteAndHasItReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	app := openStore(t, f.url, store.Options{MaxConns: 1})
	require.NoError(t, app.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.SetReadOnlySession(ctx) }))

	require.ErrorIs(t, app.Ping(t.Context()), store.ErrReadOnly)
	require.NoError(t, app.Ping(t.Context()))
}

// Case postgres/isolation.md.
func TestTransactionsHaveTheirIsolationWhateverTheRolesIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	address := f.as(t, "app")
	u, err := url.Parse(address)
	require.NoError(t, err)
	f.exec(t, `ALTER ROLE `+u.User.Username()+` SET default_transaction_isolation = 'serializable'`)

	isolation, err := openStore(t, address, store.Options{}).Setting(t.Context(), "transaction_isolation")

	require.NoError(t, err)
	require.Equal(t, "read committed", isolation)
}

func TestThePoolsSizeInTheURLCounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.EqualValues(t, 16, openStore(t, f.url, store.Options{}).MaxConns())
	u, err := url.Parse(f.url)
	require.NoError(t, err)
	query := u.Query()
	query.Set("pool_max_conns", "5")
	u.RawQuery = query.Encode()

	require.EqualValues(t, 5, openStore(t, u.String(), store.Options{}).MaxConns())
	require.EqualValues(t, 2, openStore(t, u.String(), store.Options{MaxConns: 2}).MaxConns(), "a command asks for few")
	require.NoError(t, store.CheckSchema(t.Context(), u.String()))
	require.NoError(t, store.Migrate(t.Context(), u.String()))
}
