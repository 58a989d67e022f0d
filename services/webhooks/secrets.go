package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// keysAge is how long opened secrets and keys are kept: the key service need not be asked for each delivery.
const keysAge = time.Minute

// askedFor is how long an answer of Postgres about a customer's secrets counts. A signature that does not fit has it asked again.
const askedFor = time.Second

// secretsTime is how long Postgres is asked for the secrets: with the rest of storeTime a delivery can be stored while Postgres is slow.
const secretsTime = 2 * time.Second

// customerKeys are a customer's opened secrets and keys.
type customerKeys struct {
	secrets [][]byte
	parts   inbox.Keys
	noted   atomic.Bool // the last delivery's time was noted since the keys were opened
}

// errUnknownCustomer means that no delivery to the customer can be right: it is unknown, offboarded, or has no secret.
var errUnknownCustomer = errors.New("there is no secret")

// keyring opens customers' secrets and keys and keeps them for a minute. Whether a customer still has the secret is asked once a second, so that an
// offboarding counts then, and for each signature that does not fit, so that a rotation counts at once.
type keyring struct {
	store    *store.Store
	vault    *vault.Vault
	now      func() time.Time
	patience time.Duration // with Postgres

	mu   sync.Mutex
	kept map[string]keptKeys
}

func newKeyring(from *store.Store, keys *vault.Vault, now func() time.Time) *keyring {
	return &keyring{store: from, vault: keys, now: now, patience: secretsTime, kept: map[string]keptKeys{}}
}

type keptKeys struct {
	*customerKeys

	sealed store.WebhookSecrets
	asked  time.Time // when Postgres last said that they are these
	until  time.Time
}

// of returns a customer's keys as they were at most a second ago. errUnknownCustomer, or an error of the store or the key service.
func (k *keyring) of(ctx context.Context, customer string) (*customerKeys, error) {
	if kept, known := k.find(customer); known && k.now().Sub(kept.asked) < askedFor {
		return kept.customerKeys, nil
	}
	return k.ask(ctx, customer)
}

// ask does what of does, but returns the keys as they are now.
func (k *keyring) ask(ctx context.Context, customer string) (*customerKeys, error) {
	asked := k.now()
	sealed, err := k.sealedSecrets(ctx, customer)
	kept, known := k.find(customer)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && len(sealed.Secret) == 0:
		k.forget(customer)
		return nil, errUnknownCustomer
	case err != nil && known: // Postgres is away: what was right a minute ago counts
		return kept.customerKeys, nil
	case err != nil:
		return nil, err
	case known && kept.sealed.Organization == sealed.Organization &&
		bytes.Equal(kept.sealed.Secret, sealed.Secret) && bytes.Equal(kept.sealed.Before, sealed.Before):
		kept.asked = asked
		k.keep(customer, kept)
		return kept.customerKeys, nil
	}
	opened, err := k.open(ctx, customer, sealed)
	if err != nil {
		return nil, err
	}
	k.keep(customer, keptKeys{customerKeys: opened, sealed: sealed, asked: asked, until: k.now().Add(keysAge)})
	return opened, nil
}

func (k *keyring) keep(customer string, keys keptKeys) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[customer] = keys
}

// isKnown reports whether a customer's deliveries can be right, as far as that is known without its keys. It asks no more than once in
// keysAge for a customer whose deliveries are accepted.
func (k *keyring) isKnown(ctx context.Context, customer string) (bool, error) {
	if _, known := k.find(customer); known {
		return true, nil
	}
	sealed, err := k.sealedSecrets(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return len(sealed.Secret) > 0, err
}

// sealedSecrets returns store.ErrNotFound for a name that no customer can have, too.
func (k *keyring) sealedSecrets(ctx context.Context, customer string) (store.WebhookSecrets, error) {
	if !rollcallv1.ValidCustomerID(customer) {
		return store.WebhookSecrets{}, store.ErrNotFound
	}
	asking, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	return k.store.WebhookSecrets(asking, customer)
}

func (k *keyring) open(ctx context.Context, customer string, sealed store.WebhookSecrets) (*customerKeys, error) {
	opened := &customerKeys{}
	for _, one := range []struct {
		name   string
		sealed []byte
	}{{store.CredentialWebhookSecret, sealed.Secret}, {store.CredentialWebhookSecretBefore, sealed.Before}} {
		if len(one.sealed) == 0 {
			continue
		}
		secret, err := k.vault.Open(ctx, customer, one.name, one.sealed)
		if err != nil {
			return nil, fmt.Errorf("open a webhook secret: %w", err)
		}
		opened.secrets = append(opened.secrets, secret)
	}
	var err error
	if opened.parts, err = inbox.OpenKeys(ctx, k.vault, customer, sealed.Organization); err != nil {
		return nil, err
	}
	return opened, nil
}

// find returns what is kept and not too old. It forgets what is.
func (k *keyring) find(customer string) (kept keptKeys, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	for other, keys := range k.kept {
		if !now.Before(keys.until) {
			delete(k.kept, other)
		}
	}
	kept, known = k.kept[customer]
	return kept, known
}

func (k *keyring) forget(customer string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.kept, customer)
}
