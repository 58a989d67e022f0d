package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

const (
	oneKey     = "base64key://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
	anotherKey = "base64key://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
)

// withSecrets creates a database with three customers' secrets, and sets the command line's environment to it.
func (f *fixture) withSecrets(secretsURL string) *store.Store {
	f.t.Helper()
	database := testkit.Database(f.t)
	keys, err := store.Open(f.t.Context(), database, store.Options{MaxConns: 2})
	require.NoError(f.t, err)
	f.t.Cleanup(keys.Close)
	keeper, err := vault.OpenKeeper(f.t.Context(), secretsURL)
	require.NoError(f.t, err)
	safe := &vault.Vault{Keeper: keeper, Keys: keys}
	for _, customer := range []string{"acme", "globex", "initech"} {
		_, err := safe.Seal(f.t.Context(), customer, "vomo_token", []byte(vomoToken))
		require.NoError(f.t, err)
	}
	_, err = safe.PublicXKey(f.t.Context())
	require.NoError(f.t, err)
	require.NoError(f.t, keeper.Close())
	f.process.Environ = append(f.process.Environ, "DATABASE_URL="+database, "SECRETS_URL="+secretsURL)
	return keys
}

// runs starts a stand-in for a service that answers pings.
func (f *fixture) runs(name, version string, keys ...string) {
	f.t.Helper()
	conn := f.nats.Conn(f.t)
	_, err := micro.AddService(conn, micro.Config{
		Name: name, Version: version, Metadata: map[string]string{service.MetadataKeys: strings.Join(keys, ",")},
	})
	require.NoError(f.t, err)
	require.NoError(f.t, conn.Flush())
}

func keeperIDs(t *testing.T, urls ...string) []string {
	t.Helper()
	keeper, err := vault.OpenKeeper(t.Context(), urls[0], urls[1:]...)
	require.NoError(t, err)
	defer func() { require.NoError(t, keeper.Close()) }()
	return keeper.IDs()
}

func TestKeysAreRotatedToTheNextOnceAllServicesHaveIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	keys := f.withSecrets(oneKey)
	ids := keeperIDs(t, oneKey, anotherKey)

	got := f.run("secrets", "rotate")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "SECRETS_URL_NEXT")

	f.process.Environ = append(f.process.Environ, "SECRETS_URL_NEXT="+anotherKey)
	got = f.run("secrets", "rotate", "--dry-run")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "customers' keys: 3 to seal anew")
	counts, err := keys.KeysBySealer(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int64{ids[0]: 4}, counts)

	f.runs("rollcall-onboarding", "0.1.0", ids...)
	f.runs("rollcall-backfill", "0.1.0", ids[0])
	f.runs("of-the-partner", "0.1.0")
	got = f.run("secrets", "rotate")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "rollcall-backfill")
	require.NotContains(t, got.stderr, "rollcall-onboarding")
	require.NotContains(t, got.stderr, "of-the-partner")
	counts, err = keys.KeysBySealer(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int64{ids[0]: 4}, counts)

	got = f.run("secrets", "rotate", "--force", "--json")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, rotated{Rotated: vault.Rotated{
		KeyID: ids[1], Customers: vault.Resealed{Resealed: 3}, Installation: vault.Resealed{Resealed: 1}, Failed: map[string]string{},
	}}, document[rotated](t, got))
	require.NotContains(t, got.stdout+got.stderr, "AAAAAAAA")

	got = f.run("secrets", "rotate")
	require.Equal(t, 1, got.code, "and then there is nothing more to do")
}

func TestKeyFileIsRotatedToTheNextOnceAllServicesHaveIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	folder := t.TempDir()
	address, next := "dev:"+filepath.Join(folder, "secrets.key"), "dev:"+filepath.Join(folder, "next.key")
	f.withSecrets(address)
	got := f.run("secrets", "rotate")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "SECRETS_URL_NEXT")

	f.process.Environ = append(f.process.Environ, "SECRETS_URL_NEXT="+next)
	ids := keeperIDs(t, address, next) // a service creates the file
	f.runs("rollcall-onboarding", "0.1.0", ids...)
	got = f.run("secrets", "rotate")

	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "by the key "+ids[1])
	require.Len(t, keeperIDs(t, address), 1, "the file must not change")
}

func TestRotateDoesNotMoveKeysFromAnotherKeeperToAKeyFileByAccident(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	keys := f.withSecrets(oneKey)
	next := "dev:" + filepath.Join(t.TempDir(), "next.key")
	ids := keeperIDs(t, oneKey, next)
	f.process.Environ = append(f.process.Environ, "SECRETS_URL_NEXT="+next)

	got := f.run("secrets", "rotate")

	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "SECRETS_URL_NEXT is a key file")
	counts, err := keys.KeysBySealer(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int64{ids[0]: 4}, counts)
	require.Zero(t, f.run("secrets", "rotate", "--force").code)
}

func TestRotateCreatesNoMissingKeyFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.withSecrets(oneKey)
	missing := filepath.Join(t.TempDir(), "secrets.key")
	f.process.Environ = append(f.process.Environ, "SECRETS_URL=dev:"+missing)

	for _, command := range [][]string{{"secrets", "rotate"}, {"doctor"}} {
		got := f.run(command...)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stdout+got.stderr, missing+" does not exist")
		require.NoFileExists(t, missing)
	}
}

func TestRotateWithoutADatabaseSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.run("secrets", "rotate")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "DATABASE_URL is missing")
	require.Equal(t, 2, f.run("secrets").code)
}
