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
	// SealingKey is the id of the keeper's key that seals what is new, "" for the keeper's first.
	SealingKey(ctx context.Context) (string, error)
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

// Sealer opens the customer's key once and returns what Seal does with it, for work that seals many small things.
func (v *Vault) Sealer(ctx context.Context, customer, purpose string) (func(plain []byte) ([]byte, error), error) {
	key, err := v.customerKey(ctx, customer, true)
	if err != nil {
		return nil, err
	}
	return func(plain []byte) ([]byte, error) { return sealWith(key, customer, purpose, plain) }, nil
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
		stored, err = v.addKey(ctx, freshKey,
			func(key store.SealedKey) error { return v.Keys.AddCustomerKey(ctx, customer, key) },
			func() (store.SealedKey, error) { return v.Keys.CustomerKey(ctx, customer) })
	}
	if err != nil {
		return nil, err
	}
	return v.Keeper.open(ctx, stored.KeyID, stored.Sealed)
}

func (v *Vault) installationKey(ctx context.Context) ([]byte, error) {
	stored, err := v.Keys.InstallationKey(ctx, installationData)
	if errors.Is(err, store.ErrNotFound) {
		stored, err = v.addKey(ctx, freshKey,
			func(key store.SealedKey) error { return v.Keys.AddInstallationKey(ctx, installationData, key) },
			func() (store.SealedKey, error) { return v.Keys.InstallationKey(ctx, installationData) })
	}
	if err != nil {
		return nil, err
	}
	return v.Keeper.open(ctx, stored.KeyID, stored.Sealed)
}

// addTries is how often a key is added at most: a rotation that begins between the sealing and the adding refuses it.
const addTries = 3

// addKey seals and adds what draw gives, and reads what stands then: another process may have been first, and then
// its key is the one.
func (v *Vault) addKey(ctx context.Context, draw func() (plain []byte, public string, err error),
	add func(store.SealedKey) error, read func() (store.SealedKey, error),
) (store.SealedKey, error) {
	var last error
	for range addTries {
		plain, public, err := draw()
		if err != nil {
			return store.SealedKey{}, err
		}
		sealed, err := v.sealKey(ctx, plain)
		if err != nil {
			return store.SealedKey{}, err
		}
		sealed.Public = public
		if err := add(sealed); err != nil {
			return store.SealedKey{}, err
		}
		stored, err := read()
		if !errors.Is(err, store.ErrNotFound) {
			return stored, err
		}
		last = err
	}
	return store.SealedKey{}, last
}

// sealKey seals a key with the keeper's key that seals by now.
func (v *Vault) sealKey(ctx context.Context, plain []byte) (store.SealedKey, error) {
	id, err := v.Keys.SealingKey(ctx)
	if err != nil {
		return store.SealedKey{}, err
	}
	if id == "" {
		id = v.Keeper.ID
	}
	sealed, err := v.Keeper.seal(ctx, id, plain)
	if err != nil {
		return store.SealedKey{}, err
	}
	return store.SealedKey{KeyID: id, Sealed: sealed}, nil
}

func freshKey() (plain []byte, public string, err error) {
	plain = make([]byte, keyBytes)
	if _, err := rand.Read(plain); err != nil {
		return nil, "", fmt.Errorf("draw key: %w", err)
	}
	return plain, "", nil
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
