package virtuous

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEverySignatureOfTheExactBytesIsVerified(t *testing.T) {
	t.Parallel()
	var signed struct {
		Secret string `json:"secret"`
		Files  map[string]struct {
			Base64 string `json:"base64"`
			Hex    string `json:"hex"`
		} `json:"files"`
	}
	require.NoError(t, json.Unmarshal(payload(t, "webhooks/signatures.json"), &signed))
	require.Greater(t, len(signed.Files), 20)
	secret, other := []byte(signed.Secret), []byte("another")
	for name, signature := range signed.Files {
		body := payload(t, "webhooks/"+name)
		for _, header := range []string{
			signature.Base64, signature.Hex, strings.ToUpper(signature.Hex), "sha256=" + signature.Hex, "SHA256=" + signature.Base64, " " + signature.Base64 + " ",
			strings.TrimRight(signature.Base64, "="), strings.NewReplacer("+", "-", "/", "_").Replace(signature.Base64),
		} {
			require.True(t, VerifySignature(header, body, secret), name)
			require.True(t, VerifySignature(header, body, other, secret), "during a rotation")
			require.False(t, VerifySignature(header, body, other))
			require.False(t, VerifySignature(header, body))
			require.False(t, VerifySignature(header, append([]byte(" "), body...), secret))
		}
		require.False(t, VerifySignature(signature.Hex[:62], body, secret))
		require.False(t, VerifySignature(signature.Base64+"AAAA", body, secret))
	}
}

func TestNothingIsSignedByAnEmptySecret(t *testing.T) {
	t.Parallel()
	const ofNothing = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" // HMAC-SHA256 with an empty key
	require.False(t, VerifySignature(ofNothing, nil, []byte("")))
	require.False(t, VerifySignature(ofNothing, nil, nil))
	for _, header := range []string{"", "sha256=", "x", strings.Repeat("0", 64), strings.Repeat("A", 43) + "="} {
		require.False(t, VerifySignature(header, nil, []byte("secret")))
	}
}
