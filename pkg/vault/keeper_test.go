package vault_test

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/vault"
)

// keeperID opens the keeper of a SECRETS_URL and returns the id of its key.
func keeperID(t *testing.T, secretsURL string) string {
	t.Helper()
	keeper, err := vault.OpenKeeper(t.Context(), secretsURL)
	require.NoError(t, err)
	require.NoError(t, keeper.Close())
	return keeper.ID
}

func TestConcurrentOpenersCreateOneKeyFile(t *testing.T) {
	t.Parallel()
	for range 10 {
		folder := filepath.Join(t.TempDir(), "not", "there")
		path := filepath.Join(folder, "secrets.key")
		ids := make([]string, 8)
		var running sync.WaitGroup
		for i := range ids {
			running.Go(func() {
				keeper, err := vault.OpenKeeper(t.Context(), "dev:"+path)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				ids[i] = keeper.ID
				if err := keeper.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
		running.Wait()

		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
		require.Equal(t, ids[0], keeperID(t, "dev:"+path), "the next start must find it")
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Len(t, left, 1, "no unfinished key file may remain")
	}
}

func TestTwoKeyFilesHaveDifferentKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NotEqual(t, keeperID(t, "dev:"+filepath.Join(dir, "a")), keeperID(t, "dev:"+filepath.Join(dir, "b")))
}

func TestErrorForInvalidKeyFileNamesItWithoutContent(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty": "", "words": canary, "short": base64.StdEncoding.EncodeToString([]byte(canary)), "half a key": "QUJD" + canary,
	} {
		path := filepath.Join(t.TempDir(), "secrets.key")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))

		_, err := vault.OpenKeeper(t.Context(), "dev:"+path)

		require.ErrorContains(t, err, path, name)
		require.ErrorContains(t, err, "32 bytes in base64", name)
		require.NotContains(t, err.Error(), canary, name)
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(kept), "an operator's file must never be overwritten")
	}
}

func TestUnreadableKeyFileIsAnErrorAndNotReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := vault.OpenKeeper(t.Context(), "dev:"+dir)
	require.ErrorContains(t, err, "key file")
	_, err = vault.OpenKeeper(t.Context(), "dev:")
	require.ErrorContains(t, err, "key file")
}

func TestErrorForBadSecretsURLDoesNotQuoteIt(t *testing.T) {
	t.Parallel()
	for _, secretsURL := range []string{
		canary,
		"",
		"base64key://" + canary,
		"base64key://" + base64.URLEncoding.EncodeToString([]byte(canary)),
		"base64key://%zz" + canary,
		"unheard-of://" + canary,
		"hashivault://" + canary, // no VAULT_SERVER_URL in the environment
		"devious",
	} {
		_, err := vault.OpenKeeper(t.Context(), secretsURL)
		require.ErrorContains(t, err, "SECRETS_URL cannot be opened")
		require.NotContains(t, err.Error(), canary)
		require.NotContains(t, err.Error(), base64.URLEncoding.EncodeToString([]byte(canary)))
	}
}

func TestSecretsURLAlwaysGivesSameKey(t *testing.T) {
	t.Parallel()
	one := secretsURL(t)
	id := keeperID(t, one)
	require.Equal(t, id, keeperID(t, one))
	require.NotEqual(t, id, keeperID(t, secretsURL(t)))
	require.NotContains(t, one, id)
}
