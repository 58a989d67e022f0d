package subscription

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"rollcall.dev/pkg/store"
)

const secretBytes = 32

// secret returns the customer's present secret; store.ErrNotFound if there is none.
func (s *Subscriptions) secret(ctx context.Context, from store.Conn, customer string) (string, error) {
	sealed, err := from.Credential(ctx, customer, store.CredentialWebhookSecret)
	if err != nil {
		return "", err
	}
	secret, err := s.Vault.Open(ctx, customer, store.CredentialWebhookSecret, sealed)
	if err != nil {
		return "", fmt.Errorf("open the webhook secret: %w", err)
	}
	return string(secret), nil
}

// ensureSecret gives the customer a secret if it has none.
func (s *Subscriptions) ensureSecret(ctx context.Context, tx *store.Tx, customer string) error {
	_, err := tx.Credential(ctx, customer, store.CredentialWebhookSecret)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return s.saveSecret(ctx, tx, customer, store.CredentialWebhookSecret, newSecret())
}

// replaceSecret gives the customer another secret, and keeps the one before beside it.
func (s *Subscriptions) replaceSecret(ctx context.Context, tx *store.Tx, customer string) error {
	before, err := s.secret(ctx, tx.Conn, customer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil {
		if err := s.saveSecret(ctx, tx, customer, store.CredentialWebhookSecretBefore, before); err != nil {
			return err
		}
	}
	return s.saveSecret(ctx, tx, customer, store.CredentialWebhookSecret, newSecret())
}

func newSecret() string {
	drawn := make([]byte, secretBytes)
	_, _ = rand.Read(drawn) // never fails
	return hex.EncodeToString(drawn)
}

func (s *Subscriptions) saveSecret(ctx context.Context, tx *store.Tx, customer, name, secret string) error {
	sealed, err := s.Vault.Seal(ctx, customer, name, []byte(secret))
	if err != nil {
		return fmt.Errorf("seal %s: %w", name, err)
	}
	return tx.SaveCredential(ctx, customer, name, sealed)
}
