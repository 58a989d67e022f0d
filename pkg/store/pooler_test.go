package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// Case postgres/pooler.md.
func TestAPoolerOfTransactionsIsRefusedInOneLine(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)

			_, err := store.Open(t.Context(), testkit.PgBouncer(t, f.url, mode), store.Options{})

			require.ErrorIs(t, err, store.ErrTransactionPooler)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestAPoolerOfSessionsWorks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	address := testkit.PgBouncer(t, f.url, "session")

	pooled := openStore(t, address, store.Options{})

	require.NoError(t, store.CheckSchema(t.Context(), address))
	require.NoError(t, store.Migrate(t.Context(), address))
	for _, setting := range []struct{ name, value string }{
		{"statement_timeout", "1min"}, {"idle_in_transaction_session_timeout", "10s"}, {"transaction_isolation", "read committed"},
	} {
		got, err := pooled.Setting(t.Context(), setting.name)
		require.NoError(t, err)
		require.Equal(t, setting.value, got)
	}
	lease, err := pooled.TakeLease(t.Context(), "acme", "holder", within)
	require.NoError(t, err)
	for range 10 { // more often than a statement is sent without a plan of its own
		require.NoError(t, lease.Renew(t.Context()))
		require.NoError(t, pooled.InLane(t.Context(), lease, aPage("acme")))
	}
}
