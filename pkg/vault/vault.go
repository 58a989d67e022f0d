package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"rollcall.dev/pkg/store"
)

// ErrKeyGone says that the customer has no data key (any more): what was sealed with it cannot be opened.
var ErrKeyGone = errors.New("the customer's key is gone")

// ErrForeign says that sealed bytes were not sealed with this key for this owner and purpose.
var ErrForeign = errors.New("sealed for another owner or purpose, or damaged")

const installationData = "data"

// KeyStore is where sealed keys live.
type KeyStore interface {
	CustomerKey(ctx context.Context, customer string) (store.SealedKey, error)
	AddCustomerKey(ctx context.Context, customer string, key store.SealedKey) error
	InstallationKey(ctx context.Context, name string) (store.SealedKey, error)
	AddInstallationKey(ctx context.Context, name string, key store.SealedKey) error
}

// Vault seals and opens for customers and for the installation.
type Vault struct {
	Keeper *Keeper
	Keys   KeyStore
}

// Seal seals plain for a customer, whose data key is made where there is none yet. purpose is what the bytes
// are ("vomo_token", "letter", …): they open for that purpose alone.
func (v *Vault) Seal(ctx context.Context, customer, purpose string, plain []byte) ([]byte, error) {
	key, err := v.customerKey(ctx, customer, true)
	if err != nil {
		return nil, err
	}
	return sealWith(key, customer, purpose, plain)
}

// Open opens what Seal sealed. ErrKeyGone after the customer's key was destroyed, ErrForeign for anything that
// was not sealed for this customer and purpose.
func (v *Vault) Open(ctx context.Context, customer, purpose string, sealed []byte) ([]byte, error) {
	key, err := v.customerKey(ctx, customer, false)
	if err != nil {
		return nil, err
	}
	return openWith(key, customer, purpose, sealed)
}

// HashKey derives the key of the customer's record hashes: equal records of two customers hash differently,
// and nobody without the data key can test a guess against a stored hash.
func (v *Vault) HashKey(ctx context.Context, customer string) ([]byte, error) {
	key, err := v.customerKey(ctx, customer, true)
	if err != nil {
		return nil, err
	}
	derived, err := hkdf.Key(sha256.New, key, nil, "rollcall record hash", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive hash key: %w", err)
	}
	return derived, nil
}

// SealForInstallation seals what belongs to no customer.
func (v *Vault) SealForInstallation(ctx context.Context, purpose string, plain []byte) ([]byte, error) {
	key, err := v.installationKey(ctx)
	if err != nil {
		return nil, err
	}
	return sealWith(key, "", purpose, plain)
}

// OpenForInstallation opens what SealForInstallation sealed.
func (v *Vault) OpenForInstallation(ctx context.Context, purpose string, sealed []byte) ([]byte, error) {
	key, err := v.installationKey(ctx)
	if err != nil {
		return nil, err
	}
	return openWith(key, "", purpose, sealed)
}

func (v *Vault) customerKey(ctx context.Context, customer string, create bool) ([]byte, error) {
	stored, err := v.Keys.CustomerKey(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		if !create {
			return nil, fmt.Errorf("key of %s: %w", customer, ErrKeyGone)
		}
		fresh, err := v.freshKey(ctx)
		if err != nil {
			return nil, err
		}
		if err := v.Keys.AddCustomerKey(ctx, customer, fresh); err != nil {
			return nil, err
		}
		// Read again: another process may have been first, and then its key is the customer's.
		if stored, err = v.Keys.CustomerKey(ctx, customer); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	return v.Keeper.open(ctx, stored.Sealed)
}

func (v *Vault) installationKey(ctx context.Context) ([]byte, error) {
	stored, err := v.Keys.InstallationKey(ctx, installationData)
	if errors.Is(err, store.ErrNotFound) {
		fresh, err := v.freshKey(ctx)
		if err != nil {
			return nil, err
		}
		if err := v.Keys.AddInstallationKey(ctx, installationData, fresh); err != nil {
			return nil, err
		}
		if stored, err = v.Keys.InstallationKey(ctx, installationData); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	return v.Keeper.open(ctx, stored.Sealed)
}

func (v *Vault) freshKey(ctx context.Context) (store.SealedKey, error) {
	key := make([]byte, keyBytes)
	if _, err := rand.Read(key); err != nil {
		return store.SealedKey{}, fmt.Errorf("draw key: %w", err)
	}
	sealed, err := v.Keeper.seal(ctx, key)
	if err != nil {
		return store.SealedKey{}, err
	}
	return store.SealedKey{KeyID: v.Keeper.ID, Sealed: sealed}, nil
}

func sealWith(key []byte, owner, purpose string, plain []byte) ([]byte, error) {
	aead, err := aeadOf(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, associated(owner, purpose)), nil //nolint:gosec // G407: this AEAD draws each nonce itself
}

func openWith(key []byte, owner, purpose string, sealed []byte) ([]byte, error) {
	aead, err := aeadOf(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, associated(owner, purpose))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, ErrForeign)
	}
	return plain, nil
}

func aeadOf(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("use key: %w", err)
	}
	return aead, nil
}

func associated(owner, purpose string) []byte {
	return []byte("rollcall\x00" + owner + "\x00" + purpose)
}
