package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nkeys"

	"rollcall.dev/pkg/store"
)

// ErrNotSealedToUs means that a sealed token was sealed to another key, or is damaged.
var ErrNotSealedToUs = errors.New("not sealed to this installation's key")

const installationXKey = "xkey"

// PublicXKey returns the public curve key ("X…") to which senders seal tokens. The key pair is created on first use.
func (v *Vault) PublicXKey(ctx context.Context) (string, error) {
	stored, err := v.xkey(ctx)
	return stored.Public, err
}

// OpenSealedToken opens a token that SealToken sealed to PublicXKey.
func (v *Vault) OpenSealedToken(ctx context.Context, token string) (string, error) {
	sender, body, ok := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if !ok || err != nil || !nkeys.IsValidPublicCurveKey(sender) {
		return "", fmt.Errorf("read sealed token: %w", ErrNotSealedToUs)
	}
	stored, err := v.xkey(ctx)
	if err != nil {
		return "", err
	}
	seed, err := v.Keeper.open(ctx, stored.KeyID, stored.Sealed)
	if err != nil {
		return "", err
	}
	pair, err := nkeys.FromCurveSeed(seed)
	if err != nil {
		return "", fmt.Errorf("use curve key: %w", err)
	}
	defer pair.Wipe()
	plain, err := pair.Open(raw, sender)
	if err != nil {
		return "", fmt.Errorf("open sealed token: %w", ErrNotSealedToUs)
	}
	return string(plain), nil
}

// SealToken seals a token to an installation's public curve key, with a key pair that is used once. The sealed form
// is the sender's public key, a dot, and the box in URL-safe base64.
func SealToken(publicXKey, token string) (string, error) {
	if !nkeys.IsValidPublicCurveKey(publicXKey) {
		return "", errors.New("not a public curve key: it begins with X, and `rollcall key` prints it")
	}
	sender, err := nkeys.CreateCurveKeys()
	if err != nil {
		return "", fmt.Errorf("draw key pair: %w", err)
	}
	defer sender.Wipe()
	public, err := sender.PublicKey()
	if err != nil {
		return "", fmt.Errorf("read key pair: %w", err)
	}
	box, err := sender.Seal([]byte(token), publicXKey)
	if err != nil {
		return "", fmt.Errorf("seal token: %w", err)
	}
	return public + "." + base64.RawURLEncoding.EncodeToString(box), nil
}

func (v *Vault) xkey(ctx context.Context) (store.SealedKey, error) {
	stored, err := v.Keys.InstallationKey(ctx, installationXKey)
	if !errors.Is(err, store.ErrNotFound) {
		return stored, err
	}
	return v.addKey(ctx, freshCurveKey,
		func(key store.SealedKey) error { return v.Keys.AddInstallationKey(ctx, installationXKey, key) },
		func() (store.SealedKey, error) { return v.Keys.InstallationKey(ctx, installationXKey) })
}

func freshCurveKey() (seed []byte, public string, err error) {
	pair, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, "", fmt.Errorf("draw curve key: %w", err)
	}
	defer pair.Wipe()
	if public, err = pair.PublicKey(); err != nil {
		return nil, "", fmt.Errorf("read curve key: %w", err)
	}
	drawn, err := pair.Seed()
	if err != nil {
		return nil, "", fmt.Errorf("read curve key: %w", err)
	}
	return bytes.Clone(drawn), public, nil // the pair wipes its own copy
}
