package vault_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

// installation is a database with some sealed secrets.
type installation struct {
	t        *testing.T
	database string
	sealed   map[string][]byte
	own      []byte
	token    string // sealed to the installation's public key
}

func newInstallation(t *testing.T, secretsURL string, customers int) *installation {
	t.Helper()
	i := &installation{t: t, database: testkit.Database(t), sealed: map[string][]byte{}}
	v := i.service(secretsURL)
	var err error
	for n := range customers {
		customer := "customer-" + strconv.Itoa(n)
		i.sealed[customer], err = v.Seal(t.Context(), customer, "vomo_token", []byte("token of "+customer))
		require.NoError(t, err)
	}
	i.own, err = v.SealForInstallation(t.Context(), "letter", []byte("own"))
	require.NoError(t, err)
	public, err := v.PublicXKey(t.Context())
	require.NoError(t, err)
	i.token, err = vault.SealToken(public, "travelled")
	require.NoError(t, err)
	return i
}

// service returns the vault of a process with these settings.
func (i *installation) service(secretsURL string, next ...string) *vault.Vault {
	i.t.Helper()
	keys, err := store.Open(i.t.Context(), i.database, store.Options{MaxConns: 4})
	require.NoError(i.t, err)
	i.t.Cleanup(keys.Close)
	keeper, err := vault.OpenKeeper(i.t.Context(), secretsURL, next...)
	require.NoError(i.t, err)
	i.t.Cleanup(func() { require.NoError(i.t, keeper.Close()) })
	return &vault.Vault{Keeper: keeper, Keys: keys}
}

func (i *installation) rotation(secretsURL string, next ...string) *vault.Rotation {
	i.t.Helper()
	v := i.service(secretsURL, next...)
	return &vault.Rotation{Keeper: v.Keeper, Store: v.Keys.(*store.Store)}
}

// readable requires that a process can open everything.
func (i *installation) readable(v *vault.Vault) {
	i.t.Helper()
	for customer, sealed := range i.sealed {
		plain, err := v.Open(i.t.Context(), customer, "vomo_token", sealed)
		require.NoError(i.t, err)
		require.Equal(i.t, "token of "+customer, string(plain))
	}
	plain, err := v.OpenForInstallation(i.t.Context(), "letter", i.own)
	require.NoError(i.t, err)
	require.Equal(i.t, "own", string(plain))
	token, err := v.OpenSealedToken(i.t.Context(), i.token)
	require.NoError(i.t, err)
	require.Equal(i.t, "travelled", token)
}

func (i *installation) sealers() map[string]int64 {
	i.t.Helper()
	keys, err := store.Open(i.t.Context(), i.database, store.Options{MaxConns: 1})
	require.NoError(i.t, err)
	defer keys.Close()
	counts, err := keys.KeysBySealer(i.t.Context())
	require.NoError(i.t, err)
	return counts
}

// diesAfter makes Postgres fail a rotation at its nth row.
func (i *installation) diesAfter(rows int) {
	i.t.Helper()
	exec(i.t, i.database, `DROP SEQUENCE IF EXISTS rows_done CASCADE`)
	exec(i.t, i.database, `CREATE SEQUENCE rows_done`)
	exec(i.t, i.database, fmt.Sprintf(`CREATE OR REPLACE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN IF nextval('rows_done') > %d THEN RAISE 'the process died here'; END IF; RETURN NEW; END $$`, rows))
	for _, table := range []string{"customer_keys", "installation_keys"} {
		exec(i.t, i.database, `CREATE OR REPLACE TRIGGER die BEFORE UPDATE ON `+table+` FOR EACH ROW EXECUTE FUNCTION die()`)
	}
}

func (i *installation) livesOn() {
	i.t.Helper()
	exec(i.t, i.database, `DROP FUNCTION die CASCADE`)
}

func TestInterruptedRotationKeepsEverythingReadableAndContinues(t *testing.T) {
	t.Parallel()
	old, next := secretsURL(t), secretsURL(t)
	i := newInstallation(t, old, 4)
	running := i.service(old, next) // started before the rotation
	for range 6 {                   // four customers, a data key, a curve key: each run gets one row further
		i.diesAfter(1)
		_, err := i.rotation(old, next).Run(t.Context())
		require.ErrorContains(t, err, "the process died here", "%v", i.sealers())
		i.readable(running)
		i.readable(i.service(next, old))
		if len(i.sealers()) == 2 && i.sealers()[running.Keeper.ID] == 1 {
			break // the next run would complete
		}
	}
	i.livesOn()

	done, err := i.rotation(old, next).Run(t.Context())

	require.NoError(t, err)
	require.Equal(t, 6, done.Customers.Resealed+done.Customers.Already+done.Installation.Resealed+done.Installation.Already)
	require.Equal(t, 1, done.Customers.Resealed, "only the remaining key may be resealed")
	require.Equal(t, map[string]int64{done.KeyID: 6}, i.sealers())
	i.readable(running)
	i.readable(i.service(next))
	_, err = i.service(old).Open(t.Context(), "customer-0", "vomo_token", i.sealed["customer-0"])
	require.ErrorContains(t, err, "SECRETS_URL_NEXT", "the old key must open nothing")
}

func TestKeyFileIsRotatedToTheNextOneWhileServicesRun(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	old, next, third := "dev:"+filepath.Join(folder, "secrets.key"), "dev:"+filepath.Join(folder, "next.key"), "dev:"+filepath.Join(folder, "third.key")
	i := newInstallation(t, old, 3)
	running := i.service(old, next)
	i.readable(running)
	before, err := os.ReadFile(filepath.Join(folder, "secrets.key"))
	require.NoError(t, err)

	first, err := i.rotation(old, next).Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, i.service(next).Keeper.ID, first.KeyID)
	require.Equal(t, 3, first.Customers.Resealed)
	i.readable(running)

	i.sealed["customer-new"], err = running.Seal(t.Context(), "customer-new", "vomo_token", []byte("token of customer-new"))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{first.KeyID: 6}, i.sealers(), "the new key must seal new keys")
	i.readable(i.service(old, next))

	second, err := i.rotation(next, third).Run(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first.KeyID, second.KeyID, "a rotation to another file must use its key")
	require.Equal(t, map[string]int64{second.KeyID: 6}, i.sealers())
	i.readable(i.service(third))
	after, err := os.ReadFile(filepath.Join(folder, "secrets.key"))
	require.NoError(t, err)
	require.Equal(t, before, after, "a rotation must not change a key file")
}

// addLine appends a line to a key file, as an operator or a rotation of an earlier version does.
func addLine(t *testing.T, path, line string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(line)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func keyLine(t *testing.T) string {
	t.Helper()
	key, isKey := strings.CutPrefix(secretsURL(t), "base64key://")
	require.True(t, isKey)
	return strings.NewReplacer("-", "+", "_", "/").Replace(key)
}

func TestRepeatedRotationUsesTheKeyThatAnInterruptedOneAppendedToTheKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.key")
	i := newInstallation(t, "dev:"+path, 3)
	addLine(t, path, keyLine(t)+"\n")
	i.diesAfter(2)
	_, err := i.rotation("dev:" + path).Run(t.Context())
	require.ErrorContains(t, err, "the process died here")
	i.livesOn()
	drawn := i.service("dev:" + path).Keeper.IDs()
	require.Len(t, drawn, 2)

	done, err := i.rotation("dev:" + path).Run(t.Context())

	require.NoError(t, err)
	require.Equal(t, drawn[1], done.KeyID)
	require.Equal(t, drawn, i.service("dev:"+path).Keeper.IDs())
	i.readable(i.service("dev:" + path))
}

func TestKeyFileWithSeveralKeysIsRotatedToTheNextOne(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, next := filepath.Join(folder, "secrets.key"), "dev:"+filepath.Join(folder, "next.key")
	i := newInstallation(t, "dev:"+path, 2)
	addLine(t, path, keyLine(t)) // without an end of line, as an editor may leave it
	i.diesAfter(2)
	_, err := i.rotation("dev:" + path).Run(t.Context())
	require.ErrorContains(t, err, "the process died here")
	i.livesOn()
	require.Len(t, i.sealers(), 2, "both keys of the file must have sealed some")

	done, err := i.rotation("dev:"+path, next).Run(t.Context())

	require.NoError(t, err)
	require.Equal(t, map[string]int64{done.KeyID: 4}, i.sealers())
	i.readable(i.service(next))
}

func TestUnfinishedLastLineOfAKeyFileIsIgnored(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.key")
	i := newInstallation(t, "dev:"+path, 1)
	addLine(t, path, "aGFsZiBh")

	require.Len(t, i.service("dev:"+path).Keeper.IDs(), 1)
	i.readable(i.service("dev:" + path))
}

func TestCustomersAddedDuringRotationAreSealedByNewKey(t *testing.T) {
	t.Parallel()
	old, next := secretsURL(t), secretsURL(t)
	i := newInstallation(t, old, 20)
	services := []*vault.Vault{i.service(old, next), i.service(next, old)}
	var coming sync.WaitGroup
	started := make(chan struct{}, 20)
	for n := range 20 {
		coming.Go(func() {
			started <- struct{}{}
			_, err := services[n%2].Seal(t.Context(), "late-"+strconv.Itoa(n), "vomo_token", []byte("t"))
			if err != nil {
				t.Errorf("seal: %v", err)
			}
		})
	}
	<-started
	done, err := i.rotation(old, next).Run(t.Context())
	coming.Wait()
	require.NoError(t, err)
	require.Equal(t, map[string]int64{done.KeyID: 42}, i.sealers())
	i.readable(i.service(next))
}

// staleKeys returns the sealing key as it was just before a rotation started.
type staleKeys struct {
	*store.Store
	stale int
}

func (s *staleKeys) SealingKey(ctx context.Context) (string, error) {
	if s.stale > 0 {
		s.stale--
		return "", nil
	}
	return s.Store.SealingKey(ctx)
}

func TestKeySealedJustBeforeRotationIsNotAdded(t *testing.T) {
	t.Parallel()
	old, next := secretsURL(t), secretsURL(t)
	i := newInstallation(t, old, 1)
	done, err := i.rotation(old, next).Run(t.Context())
	require.NoError(t, err)
	late := i.service(old, next)
	late.Keys = &staleKeys{Store: late.Keys.(*store.Store), stale: 2}

	_, err = late.Seal(t.Context(), "late", "vomo_token", []byte("t"))

	require.NoError(t, err)
	require.Equal(t, map[string]int64{done.KeyID: 4}, i.sealers())
}

func TestServiceWithoutNewKeyAddsNothingAndNamesSetting(t *testing.T) {
	t.Parallel()
	old, next := secretsURL(t), secretsURL(t)
	i := newInstallation(t, old, 1)
	_, err := i.rotation(old, next).Run(t.Context())
	require.NoError(t, err)

	_, err = i.service(old).Seal(t.Context(), "late", "vomo_token", []byte("t"))

	require.ErrorIs(t, err, vault.ErrNoSuchKey)
	require.ErrorContains(t, err, "SECRETS_URL_NEXT")
}

func TestDryRunCountsAndChangesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, next := filepath.Join(folder, "secrets.key"), "dev:"+filepath.Join(folder, "next.key")
	i := newInstallation(t, "dev:"+path, 3)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	rotation := i.rotation("dev:"+path, next)
	rotation.DryRun = true

	done, err := rotation.Run(t.Context())

	require.NoError(t, err)
	require.Equal(t, vault.Rotated{
		KeyID: i.service(next).Keeper.ID, Customers: vault.Resealed{Resealed: 3}, Installation: vault.Resealed{Resealed: 2}, Failed: map[string]string{},
	}, done)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, map[string]int64{rotation.Keeper.ID: 5}, i.sealers())
}

func TestRotationWithoutTargetFails(t *testing.T) {
	t.Parallel()
	file := "dev:" + filepath.Join(t.TempDir(), "secrets.key")
	_, err := newInstallation(t, file, 1).rotation(file).Run(t.Context())
	require.ErrorIs(t, err, vault.ErrNothingToRotateTo, "a key file has no key besides its own either")
	old, next := secretsURL(t), secretsURL(t)
	i := newInstallation(t, old, 1)
	_, err = i.rotation(old).Run(t.Context())
	require.ErrorIs(t, err, vault.ErrNothingToRotateTo)
	_, err = i.rotation(old, next).Run(t.Context())
	require.NoError(t, err)
	_, err = i.rotation(next).Run(t.Context())
	require.ErrorIs(t, err, vault.ErrNothingToRotateTo, "also after a complete rotation")
}

func TestRotationOfAnotherInstallationsKeysDoesNotStart(t *testing.T) {
	t.Parallel()
	old := secretsURL(t)
	i := newInstallation(t, old, 2)
	before := i.sealers()

	_, err := i.rotation(secretsURL(t), secretsURL(t)).Run(t.Context())

	require.ErrorContains(t, err, "neither SECRETS_URL nor SECRETS_URL_NEXT opens it")
	require.Equal(t, before, i.sealers())
	i.readable(i.service(old))
	_, err = i.service(old).Seal(t.Context(), "late", "vomo_token", []byte("t"))
	require.NoError(t, err, "the old key must still seal")
}

func TestRotationReportsDamagedKeyAndContinues(t *testing.T) {
	t.Parallel()
	old, next := secretsURL(t), secretsURL(t)
	i := newInstallation(t, old, 4)
	exec(t, i.database, `UPDATE customer_keys SET sealed_key = '\x00' WHERE customer_id = 'customer-2'`)

	done, err := i.rotation(old, next).Run(t.Context())

	require.ErrorIs(t, err, vault.ErrSomeNotOpened)
	require.ErrorContains(t, err, "customer-2")
	require.Equal(t, vault.Resealed{Resealed: 3}, done.Customers)
	require.Contains(t, done.Failed, "customer customer-2")
}

func TestKeyDestroyedDuringRotationStaysDestroyed(t *testing.T) {
	t.Parallel()
	i := newInstallation(t, secretsURL(t), 1)
	keys, err := store.Open(t.Context(), i.database, store.Options{MaxConns: 1})
	require.NoError(t, err)
	defer keys.Close()
	read, err := keys.CustomerKeys(t.Context(), "", 10)
	require.NoError(t, err)
	exec(t, i.database, `DELETE FROM customer_keys`)

	replaced, err := keys.ReplaceCustomerKey(t.Context(), read[0], store.SealedKey{KeyID: "new", Sealed: []byte("new")})

	require.NoError(t, err)
	require.False(t, replaced)
	require.Empty(t, must(keys.CustomerKeys(t.Context(), "", 10)))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
