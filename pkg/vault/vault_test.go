package vault_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

// canary is a secret that must not appear in any error.
const canary = "cAnary-7f3a91-token"

func TestSealedBytesOpenOnlyForTheirCustomerAndPurpose(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	sealed, err := v.Seal(t.Context(), "acme", "vomo_token", []byte(canary))
	require.NoError(t, err)
	require.NotContains(t, string(sealed), canary)

	plain, err := v.Open(t.Context(), "acme", "vomo_token", sealed)
	require.NoError(t, err)
	require.Equal(t, canary, string(plain))

	_, err = v.Open(t.Context(), "acme", "destination_token", sealed)
	require.ErrorIs(t, err, vault.ErrForeign)
	_, err = v.Open(t.Context(), "globex", "vomo_token", sealed)
	require.ErrorIs(t, err, vault.ErrKeyGone, "a customer without a key")
	_, err = v.Seal(t.Context(), "globex", "vomo_token", []byte("other"))
	require.NoError(t, err)
	_, err = v.Open(t.Context(), "globex", "vomo_token", sealed)
	require.ErrorIs(t, err, vault.ErrForeign)
	_, err = v.OpenForInstallation(t.Context(), "vomo_token", sealed)
	require.ErrorIs(t, err, vault.ErrForeign)
}

func TestSealingTwiceGivesDifferentBytes(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	one, err := v.Seal(t.Context(), "acme", "vomo_token", []byte(canary))
	require.NoError(t, err)
	two, err := v.Seal(t.Context(), "acme", "vomo_token", []byte(canary))
	require.NoError(t, err)
	require.NotEqual(t, one, two)
}

func TestDamagedBytesDoNotOpen(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	sealed, err := v.Seal(t.Context(), "acme", "letter", []byte(canary))
	require.NoError(t, err)
	for _, cut := range []int{0, 1, 12, 28, len(sealed) - 1} {
		_, err := v.Open(t.Context(), "acme", "letter", sealed[:cut])
		require.ErrorIs(t, err, vault.ErrForeign, "%d bytes of %d", cut, len(sealed))
	}
	for at := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[at] ^= 1
		_, err := v.Open(t.Context(), "acme", "letter", damaged)
		require.ErrorIs(t, err, vault.ErrForeign, "byte %d", at)
		require.NotContains(t, err.Error(), canary)
	}
}

func TestSealedBytesCannotBeOpenedAfterKeyIsDestroyed(t *testing.T) {
	t.Parallel()
	v, database := newVault(t)
	sealed, err := v.Seal(t.Context(), "acme", "letter", []byte(canary))
	require.NoError(t, err)

	exec(t, database, `DELETE FROM customer_keys WHERE customer_id = 'acme'`)

	_, err = v.Open(t.Context(), "acme", "letter", sealed)
	require.ErrorIs(t, err, vault.ErrKeyGone)
	again, err := v.Seal(t.Context(), "acme", "letter", []byte("a new life"))
	require.NoError(t, err)
	_, err = v.Open(t.Context(), "acme", "letter", again)
	require.NoError(t, err)
	_, err = v.Open(t.Context(), "acme", "letter", sealed)
	require.ErrorIs(t, err, vault.ErrForeign, "the new key must be different")
}

func TestConcurrentProcessesGetSameFirstKey(t *testing.T) {
	t.Parallel()
	database, secrets := testkit.Database(t), secretsURL(t)
	vaults := []*vault.Vault{open(t, database, secrets), open(t, database, secrets), open(t, database, secrets)}
	for _, customer := range []string{"a", "b", "c", "d", "e"} {
		sealed, public := make([][]byte, len(vaults)), make([]string, len(vaults))
		hashes, ours := make([][]byte, len(vaults)), make([][]byte, len(vaults))
		var running sync.WaitGroup
		for i, v := range vaults {
			running.Go(func() {
				var errs [4]error
				sealed[i], errs[0] = v.Seal(t.Context(), customer, "letter", []byte(canary))
				hashes[i], errs[1] = v.HashKey(t.Context(), customer)
				public[i], errs[2] = v.PublicXKey(t.Context())
				ours[i], errs[3] = v.SealForInstallation(t.Context(), "letter", []byte(canary))
				for _, err := range errs {
					if err != nil {
						t.Errorf("race: %v", err)
					}
				}
			})
		}
		running.Wait()
		for i := range vaults {
			next := vaults[(i+1)%len(vaults)]
			plain, err := next.Open(t.Context(), customer, "letter", sealed[i])
			require.NoError(t, err)
			require.Equal(t, canary, string(plain))
			_, err = next.OpenForInstallation(t.Context(), "letter", ours[i])
			require.NoError(t, err)
			require.Equal(t, hashes[0], hashes[i])
			require.Equal(t, public[0], public[i])
		}
	}
}

func TestHashKeyIsStableAndDiffersByCustomer(t *testing.T) {
	t.Parallel()
	database, secrets := testkit.Database(t), secretsURL(t)
	v := open(t, database, secrets)
	first, err := v.HashKey(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, first, 32)

	again, err := open(t, database, secrets).HashKey(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, first, again, "the key must be the same in another process")
	other, err := v.HashKey(t.Context(), "globex")
	require.NoError(t, err)
	require.NotEqual(t, first, other)
}

func TestInstallationsSealedBytesOpenOnlyForTheirPurpose(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	sealed, err := v.SealForInstallation(t.Context(), "letter", []byte(canary))
	require.NoError(t, err)

	plain, err := v.OpenForInstallation(t.Context(), "letter", sealed)
	require.NoError(t, err)
	require.Equal(t, canary, string(plain))
	_, err = v.OpenForInstallation(t.Context(), "request", sealed)
	require.ErrorIs(t, err, vault.ErrForeign)
}

func TestAnotherKeeperFailsAndErrorNamesSetting(t *testing.T) {
	t.Parallel()
	v, database := newVault(t)
	sealed, err := v.Seal(t.Context(), "acme", "letter", []byte(canary))
	require.NoError(t, err)
	_, err = v.PublicXKey(t.Context())
	require.NoError(t, err)
	wrong := secretsURL(t)
	stranger := open(t, database, wrong)

	_, err = stranger.Open(t.Context(), "acme", "letter", sealed)

	require.ErrorContains(t, err, "SECRETS_URL")
	require.NotErrorIs(t, err, vault.ErrForeign)
	require.NotContains(t, err.Error(), strings.TrimPrefix(wrong, "base64key://"))
	require.NotEqual(t, v.Keeper.ID, stranger.Keeper.ID, "the keys must have different ids")
}
