package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestATransactionThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	broken := errors.New("broken")

	err := f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, aPage("acme")(ctx, tx))
		return broken
	})

	require.ErrorIs(t, err, broken)
	require.Zero(t, rows(t, f))
}

func TestATransactionWhoseContextEndsLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())

	err := f.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, aPage("acme")(ctx, tx))
		cancel()
		return nil
	})

	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, rows(t, f))
	require.NoError(t, f.Ping(t.Context()), "and the pool is good")
}

// An error that work swallows has ended the transaction all the same: the commit must not look like one.
func TestASwallowedErrorIsNoCommit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	err := f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, aPage("acme")(ctx, tx))
		_, err := tx.SaveCustomer(ctx, customer("NOT AN ID"))
		require.Error(t, err)
		return nil
	})

	require.Error(t, err)
	require.Zero(t, rows(t, f))
}

func TestATransactionThatStandsStillIsEndedAndGivesTheLaneFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stopped := openStore(t, f.url, store.Options{IdleInTransaction: 100 * time.Millisecond})
	lease, err := stopped.TakeLease(t.Context(), "acme", "stopped", 30*time.Second)
	require.NoError(t, err)

	err = stopped.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, aPage("acme")(ctx, tx))
		f.advance(t, time.Minute)
		taken := f.lease(t, "acme") // waits for the lane's row, which only the end of this transaction frees
		require.Greater(t, taken.Epoch, lease.Epoch)
		return nil
	})

	require.Error(t, err)
	require.Zero(t, rows(t, f))
}

func TestByDefaultATransactionMayStandStillForTenSeconds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for setting, want := range map[string]string{"idle_in_transaction_session_timeout": "10s", "statement_timeout": "1min", "TimeZone": "UTC"} {
		got, err := f.Setting(t.Context(), setting)
		require.NoError(t, err)
		require.Equal(t, want, got, setting)
	}
}

func TestTheClockIsTheDatabases(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.advance(t, 24*time.Hour)

	now, err := f.Now(t.Context())

	require.NoError(t, err)
	require.Equal(t, time.Date(2026, time.March, 3, 9, 30, 0, 0, time.UTC), now.UTC())
}

func TestNoErrorRepeatsTheDatabasesURL(t *testing.T) {
	t.Parallel()
	const canary = "s3cr3t-cAnary"
	for name, url := range map[string]string{
		"not a URL":             canary,
		"a port of letters":     "postgres://user:" + canary + "@127.0.0.1:port/db",
		"a colon in the secret": "postgres://user:" + canary + ":more@127.0.0.1:port/db",
		"a slash in the secret": "postgres://user:" + canary + "/more@127.0.0.1:5432/db",
		"a bad escape":          "postgres://user:%zz" + canary + "@127.0.0.1/db",
		"keywords":              "host=127.0.0.1 password=" + canary + " port=none",
		"a bad option":          "postgres://user:" + canary + "@127.0.0.1/db?sslmode=" + canary,
		"no server there":       "postgres://user:" + canary + "@127.0.0.1:1/db?connect_timeout=1",
	} {
		_, err := store.Open(t.Context(), url, store.Options{})
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), canary, name)
		for what, call := range map[string]func(context.Context, string) error{"migrate": store.Migrate, "check": store.CheckSchema} {
			err := call(t.Context(), url)
			require.Error(t, err, "%s: %s", what, name)
			require.NotContains(t, err.Error(), canary, "%s: %s", what, name)
		}
	}
}
