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

// ErrKeyGone means that the customer has no data key, or that it was destroyed: what it sealed cannot be opened.
var ErrKeyGone = errors.New("the customer's key is gone")

// ErrForeign means that the bytes were not sealed with this key for this owner and purpose.
var ErrForeign = errors.New("sealed for another owner or purpose, or damaged")

const installationData = "data"

// KeyStore stores sealed keys.
type KeyStore interface {
	CustomerKey(ctx context.Context, customer string) (store.SealedKey, error)
	AddCustomerKey(ctx context.Context, customer string, key store.SealedKey) error
	InstallationKey(ctx context.Context, name string) (store.SealedKey, error)
	AddInstallationKey(ctx context.Context, name string, key store.SealedKey) error
	// SealingKey returns the id of the keeper's key that seals new data, "" for the keeper's first.
	SealingKey(ctx context.Context) (string, error)
}

// Vault seals and opens for customers and for the installation.
type Vault struct {
	Keeper *Keeper
	Keys   KeyStore
}

// On returns the vault with the keys that keys has: those that a transaction sees, and has changed.
func (v *Vault) On(keys KeyStore) *Vault { return &Vault{Keeper: v.Keeper, Keys: keys} }

// Seal seals plain for a customer and creates the customer's data key if there is none. purpose says what the bytes
// are ("vomo_token", "letter", …): they open only for the same purpose.
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

// Opener opens the customer's key once and returns what Open does with it. ErrKeyGone if the customer has no key.
func (v *Vault) Opener(ctx context.Context, customer, purpose string) (func(sealed []byte) ([]byte, error), error) {
	key, err := v.customerKey(ctx, customer, false)
	if err != nil {
		return nil, err
	}
	return func(sealed []byte) ([]byte, error) { return openWith(key, customer, purpose, sealed) }, nil
}

// CustomerKey is a customer's data key, opened once for work that seals, opens and hashes several things.
type CustomerKey struct {
	customer string
	key      []byte
}

// KeyOf opens the customer's key. ErrKeyGone if the customer has none.
func (v *Vault) KeyOf(ctx context.Context, customer string) (CustomerKey, error) {
	key, err := v.customerKey(ctx, customer, false)
	return CustomerKey{customer: customer, key: key}, err
}

// EnsureKey opens the customer's key, and creates it if there is none.
func (v *Vault) EnsureKey(ctx context.Context, customer string) (CustomerKey, error) {
	key, err := v.customerKey(ctx, customer, true)
	return CustomerKey{customer: customer, key: key}, err
}

// KeyFrom opens a key that was read together with other rows. One without an id is read, and created if there is none.
func (v *Vault) KeyFrom(ctx context.Context, customer string, stored store.SealedKey) (CustomerKey, error) {
	if stored.KeyID == "" {
		return v.EnsureKey(ctx, customer)
	}
	key, err := v.Keeper.open(ctx, stored.KeyID, stored.Sealed)
	return CustomerKey{customer: customer, key: key}, err
}

// Seal does what Vault.Seal does.
func (k CustomerKey) Seal(purpose string, plain []byte) ([]byte, error) {
	return sealWith(k.key, k.customer, purpose, plain)
}

// Open does what Vault.Open does.
func (k CustomerKey) Open(purpose string, sealed []byte) ([]byte, error) {
	return openWith(k.key, k.customer, purpose, sealed)
}

// HashKey does what Vault.HashKey does.
func (k CustomerKey) HashKey() ([]byte, error) { return hashKeyOf(k.key) }

// Open opens what Seal sealed. It returns ErrKeyGone after the customer's key was destroyed, and ErrForeign if the
// bytes were not sealed for this customer and purpose.
func (v *Vault) Open(ctx context.Context, customer, purpose string, sealed []byte) ([]byte, error) {
	key, err := v.customerKey(ctx, customer, false)
	if err != nil {
		return nil, err
	}
	return openWith(key, customer, purpose, sealed)
}

// HashKey derives the key of the customer's record hashes: equal records of two customers have different hashes, and
// only a holder of the data key can compare a guess with a stored hash.
func (v *Vault) HashKey(ctx context.Context, customer string) ([]byte, error) {
	key, err := v.customerKey(ctx, customer, true)
	if err != nil {
		return nil, err
	}
	return hashKeyOf(key)
}

func hashKeyOf(key []byte) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "rollcall record hash", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive hash key: %w", err)
	}
	return derived, nil
}

// SealForInstallation seals data that belongs to no customer.
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

// addTries is the maximum of attempts to add a key: adding fails if a rotation starts after the key was sealed.
const addTries = 3

// addKey seals and adds the key that draw generates, and returns the stored key: if another process was first, that
// is the other's key.
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

// sealKey seals a key with the keeper's current sealing key.
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
	return aead.Seal(nil, nil, plain, associated(owner, purpose)), nil //nolint:gosec // G407: this AEAD generates each nonce itself
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
