package vault_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// secretsURL returns a SECRETS_URL with a new key, as an operator would set it.
func secretsURL(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	_, err := rand.Read(key)
	require.NoError(t, err)
	return "base64key://" + base64.URLEncoding.EncodeToString(key)
}

// open returns a vault as in a separate process.
func open(t *testing.T, databaseURL, secretsURL string) *vault.Vault {
	t.Helper()
	keys, err := store.Open(t.Context(), databaseURL, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	keeper, err := vault.OpenKeeper(t.Context(), secretsURL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	return &vault.Vault{Keeper: keeper, Keys: keys}
}

func newVault(t *testing.T) (v *vault.Vault, databaseURL string) {
	t.Helper()
	databaseURL = testkit.Database(t)
	return open(t, databaseURL, secretsURL(t)), databaseURL
}

func exec(t *testing.T, databaseURL, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}
