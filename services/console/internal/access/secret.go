package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Prefixes of secrets. They say what a found secret is, and keep one kind from being used as the other.
const (
	tokenPrefix = "rct_"
	linkPrefix  = "rcl_"
)

// secretBytes are so many that a secret cannot be guessed, and that a fast hash of it is enough.
const secretBytes = 32

// newSecret returns a secret, which is shown once, and what is stored of it.
func newSecret(prefix string) (text string, hash []byte) {
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // it never fails
	sum := sha256.Sum256(random)
	return prefix + base64.RawURLEncoding.EncodeToString(random), sum[:]
}

// hashOf returns the hash of a secret; ok is false if the text has not the form of one.
func hashOf(prefix, text string) (hash []byte, ok bool) {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, false
	}
	random, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(random) != secretBytes {
		return nil, false
	}
	sum := sha256.Sum256(random)
	return sum[:], true
}
