package vault_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/vault"
)

func TestTokenSealedToPublicKeyOpens(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	public, err := v.PublicXKey(t.Context())
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(public, "X"))
	for _, token := range []string{canary, "12|" + strings.Repeat("x", 4000), "ü"} {
		sealed, err := vault.SealToken(public, token)
		require.NoError(t, err)
		require.NotContains(t, sealed, token)
		again, err := vault.SealToken(public, token)
		require.NoError(t, err)
		require.NotEqual(t, sealed, again)

		opened, err := v.OpenSealedToken(t.Context(), sealed)

		require.NoError(t, err)
		require.Equal(t, token, opened)
	}
}

func TestTokenSealedToAnotherKeyDoesNotOpen(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	public, err := v.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, canary)
	require.NoError(t, err)
	sender, box, _ := strings.Cut(sealed, ".")
	stranger, err := nkeys.CreateCurveKeys()
	require.NoError(t, err)
	strangers, err := stranger.PublicKey()
	require.NoError(t, err)
	elsewhere, err := vault.SealToken(strangers, canary)
	require.NoError(t, err)

	for name, token := range map[string]string{
		"nothing":              "",
		"the token itself":     canary,
		"a dot":                ".",
		"no box":               sender + ".",
		"no sender":            "." + box,
		"not base64":           sender + ".!" + box,
		"another sender":       strangers + "." + box,
		"another installation": elsewhere,
		"cut":                  sealed[:len(sealed)-2],
		"cut short":            sender + "." + box[:8],
		"more":                 sealed + "AAAA",
		"turned":               sender + "." + strings.ToUpper(box),
		"a JWT":                "eyJhbGciOiJub25lIn0." + canary + ".x",
	} {
		_, err := v.OpenSealedToken(t.Context(), token)
		require.ErrorIs(t, err, vault.ErrNotSealedToUs, name)
		require.NotContains(t, err.Error(), canary, name)
	}
	for cut := range box {
		_, err := v.OpenSealedToken(t.Context(), sender+"."+box[:cut])
		require.ErrorIs(t, err, vault.ErrNotSealedToUs, "%d of %d characters", cut, len(box))
	}
}

func TestSealTokenRejectsOtherKeys(t *testing.T) {
	t.Parallel()
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	users, err := user.PublicKey()
	require.NoError(t, err)
	for _, key := range []string{"", "X", canary, users} {
		_, err := vault.SealToken(key, canary)
		require.ErrorContains(t, err, "rollcall key")
		require.NotContains(t, err.Error(), canary)
	}
}
