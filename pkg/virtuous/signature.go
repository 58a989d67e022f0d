package virtuous

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// VerifySignature reports whether a header is the HMAC-SHA256 of the body with one of the secrets. The header may be
// base64 or hex, with or without "sha256=" before it: Virtuous' texts disagree. An empty secret verifies nothing. How
// long it takes does not depend on how much of a signature is right.
func VerifySignature(header string, body []byte, secrets ...[]byte) bool {
	header = strings.TrimSpace(header)
	if len(header) > len("sha256=") && strings.EqualFold(header[:len("sha256=")], "sha256=") {
		header = header[len("sha256="):]
	}
	given := decodeSignature(header)
	verified := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		_, _ = mac.Write(body) // a hash never fails
		if hmac.Equal(mac.Sum(nil), given) && len(secret) > 0 {
			verified = true
		}
	}
	return verified
}

// decodeSignature returns the bytes of a signature, nil if the text is none.
func decodeSignature(text string) []byte {
	if len(text) == hex.EncodedLen(sha256.Size) {
		if given, err := hex.DecodeString(text); err == nil {
			return given
		}
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if given, err := encoding.DecodeString(text); err == nil && len(given) == sha256.Size {
			return given
		}
	}
	return nil
}
