package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// SealedKey is a key sealed by the installation's keeper.
type SealedKey struct {
	KeyID  string // which of the keeper's keys sealed it
	Public string // the public half of a pair; "" for a single key
	Sealed []byte
}

// CustomerKey returns a customer's sealed data key; ErrNotFound if there is none, or if it was destroyed.
func (c Conn) CustomerKey(ctx context.Context, customer string) (SealedKey, error) {
	row, err := c.queries.CustomerKeyGet(ctx, c.dbtx, customer)
	return SealedKey(*row), err
}

// AddCustomerKey stores a customer's sealed data key, unless the customer has one.
func (c Conn) AddCustomerKey(ctx context.Context, customer string, key SealedKey) error {
	return c.queries.CustomerKeyInsertIfAbsent(ctx, c.dbtx, &db.CustomerKeyInsertIfAbsentParams{
		CustomerID: customer, KeyID: key.KeyID, SealedKey: key.Sealed,
	})
}

// InstallationKey returns one of the installation's own sealed keys; ErrNotFound if there is none yet.
func (c Conn) InstallationKey(ctx context.Context, name string) (SealedKey, error) {
	row, err := c.queries.InstallationKeyGet(ctx, c.dbtx, name)
	return SealedKey(*row), err
}

// AddInstallationKey stores one of the installation's own sealed keys, unless one of that name exists.
func (c Conn) AddInstallationKey(ctx context.Context, name string, key SealedKey) error {
	return c.queries.InstallationKeyInsertIfAbsent(ctx, c.dbtx, &db.InstallationKeyInsertIfAbsentParams{
		Name: name, KeyID: key.KeyID, PublicKey: key.Public, SealedKey: key.Sealed,
	})
}

// LockSealingKey returns what SealingKey does, and locks it: adding a key and beginning a rotation wait until the transaction ends.
func (t *Tx) LockSealingKey(ctx context.Context) (string, error) {
	return t.queries.SealingKeyLock(ctx, t.dbtx)
}

// SetSealingKey sets the key that seals from the commit on: keys sealed by another key are no longer added.
func (t *Tx) SetSealingKey(ctx context.Context, id string) error {
	return t.queries.SealingKeySet(ctx, t.dbtx, id)
}

// NamedKey is a sealed key with its owner: a customer, or one of the installation's own names.
type NamedKey struct {
	Name string
	SealedKey
}

// CustomerKeys returns up to limit customers' keys whose ids come after the given one, in order.
func (c Conn) CustomerKeys(ctx context.Context, after string, limit int32) ([]NamedKey, error) {
	rows, err := c.queries.CustomerKeyPage(ctx, c.dbtx, &db.CustomerKeyPageParams{After: after, PageSize: limit})
	if err != nil {
		return nil, err
	}
	keys := make([]NamedKey, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, NamedKey{Name: row.CustomerID, SealedKey: SealedKey{KeyID: row.KeyID, Sealed: row.SealedKey}})
	}
	return keys, nil
}

// InstallationKeys returns all of the installation's own keys.
func (c Conn) InstallationKeys(ctx context.Context) ([]NamedKey, error) {
	rows, err := c.queries.InstallationKeyList(ctx, c.dbtx)
	if err != nil {
		return nil, err
	}
	keys := make([]NamedKey, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, NamedKey{Name: row.Name, SealedKey: SealedKey{KeyID: row.KeyID, Sealed: row.SealedKey}})
	}
	return keys, nil
}

// ReplaceCustomerKey replaces the sealing that was read by another sealing of the same key; replaced is false if that sealing is no
// longer stored.
func (c Conn) ReplaceCustomerKey(ctx context.Context, was NamedKey, sealed SealedKey) (replaced bool, err error) {
	changed, err := c.queries.CustomerKeyResealIfSame(ctx, c.dbtx, &db.CustomerKeyResealIfSameParams{
		CustomerID: was.Name, Was: was.Sealed, KeyID: sealed.KeyID, SealedKey: sealed.Sealed,
	})
	return changed > 0, err
}

// ReplaceInstallationKey does what ReplaceCustomerKey does, with one of the installation's own keys.
func (c Conn) ReplaceInstallationKey(ctx context.Context, was NamedKey, sealed SealedKey) (replaced bool, err error) {
	changed, err := c.queries.InstallationKeyResealIfSame(ctx, c.dbtx, &db.InstallationKeyResealIfSameParams{
		Name: was.Name, Was: was.Sealed, KeyID: sealed.KeyID, SealedKey: sealed.Sealed,
	})
	return changed > 0, err
}

// KeysBySealer counts the stored keys by the key that sealed them.
func (c Conn) KeysBySealer(ctx context.Context) (map[string]int64, error) {
	rows, err := c.queries.KeyIDCounts(ctx, c.dbtx)
	counts := make(map[string]int64, len(rows))
	for _, row := range rows {
		counts[row.KeyID] = row.Keys
	}
	return counts, err
}
