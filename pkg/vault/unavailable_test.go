package vault_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"gocloud.dev/secrets/hashivault"

	"rollcall.dev/pkg/vault"
)

// transit simulates a Vault's transit engine without secrecy: what it sealed begins with "vault:v1:".
type transit struct {
	status atomic.Int64 // status to answer with; 0: normal operation, -1: it hangs
	ended  chan struct{}
}

func (s *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Plaintext, Ciphertext string }
	_ = json.NewDecoder(r.Body).Decode(&asked)
	switch status := int(s.status.Load()); status {
	case 0:
	case -1:
		<-s.ended // the client no longer waits for this answer
		return
	default:
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"errors":["no"]}`))
		return
	}
	const sealed = "vault:v1:"
	answer := map[string]string{"ciphertext": sealed + asked.Plaintext}
	if asked.Ciphertext != "" {
		answer = map[string]string{"plaintext": asked.Ciphertext[len(sealed):]}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": answer})
}

func TestKeyServiceOutageDiffersFromKeyThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	service := &transit{ended: make(chan struct{})}
	web := httptest.NewServer(service)
	t.Cleanup(web.Close)
	client, err := api.NewClient(&api.Config{Address: web.URL, MaxRetries: -1})
	require.NoError(t, err)
	v, _ := newVault(t)
	v.Keeper = vault.KeeperOf(hashivault.OpenKeeper(client, "rollcall", nil))
	sealed, err := v.Seal(t.Context(), "acme", "vomo_token", []byte("t0ken"))
	require.NoError(t, err)

	for status, unavailable := range map[int]bool{
		http.StatusServiceUnavailable: true, http.StatusForbidden: true, http.StatusNotFound: true, http.StatusBadRequest: false,
	} {
		service.status.Store(int64(status))
		_, err := v.Open(t.Context(), "acme", "vomo_token", sealed)
		require.Error(t, err, status)
		require.Equal(t, unavailable, isUnavailable(err), "%d: %v", status, err)
		_, err = v.Seal(t.Context(), "globex", "vomo_token", []byte("t0ken")) // globex has no key yet
		require.Equal(t, unavailable, isUnavailable(err), "%d: %v", status, err)
	}

	service.status.Store(-1)
	began := time.Now()
	_, err = v.Open(t.Context(), "acme", "vomo_token", sealed)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.Less(t, time.Since(began), vault.KeeperTimeout+10*time.Second, "the caller must not wait for a call that hangs")

	began = time.Now()
	require.NoError(t, v.Keeper.Close())
	require.Less(t, time.Since(began), 30*time.Second, "the end of the process must not wait for it")
	close(service.ended)
	v.Keeper = vault.KeeperOf(hashivault.OpenKeeper(client, "rollcall", nil))
	service.status.Store(0)
	plain, err := v.Open(t.Context(), "acme", "vomo_token", sealed)
	require.NoError(t, err)
	require.Equal(t, "t0ken", string(plain))
	web.Close()
	_, err = v.Open(t.Context(), "acme", "vomo_token", sealed)
	require.ErrorIs(t, err, vault.ErrUnavailable)
}

func isUnavailable(err error) bool { return errors.Is(err, vault.ErrUnavailable) }

func TestLocalKeyThatDoesNotOpenIsNotAnOutage(t *testing.T) {
	t.Parallel()
	v, databaseURL := newVault(t)
	sealed, err := v.Seal(t.Context(), "acme", "vomo_token", []byte("t0ken"))
	require.NoError(t, err)
	exec(t, databaseURL, `UPDATE customer_keys SET sealed_key = 'broken'`)
	_, err = v.Open(t.Context(), "acme", "vomo_token", sealed)
	require.Error(t, err)
	require.NotErrorIs(t, err, vault.ErrUnavailable)
}
