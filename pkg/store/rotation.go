package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// SealingKey is which of the keeper's keys seals what is new; "" before a first rotation, when SECRETS_URL's does.
func (c Conn) SealingKey(ctx context.Context) (string, error) {
	id, err := c.queries.SealingKeyGet(ctx, c.dbtx)
	if err != nil || id == nil {
		return "", wrap("read which key seals", err)
	}
	return *id, nil
}

// LockSealingKey reads the same, and makes whoever adds a key or begins a rotation wait until the transaction ends.
func (t *Tx) LockSealingKey(ctx context.Context) (string, error) {
	id, err := t.queries.SealingKeyLock(ctx, t.dbtx)
	if err != nil || id == nil {
		return "", wrap("lock which key seals", err)
	}
	return *id, nil
}

// SetSealingKey names the key that seals from the commit on: keys sealed by another are no longer added.
func (t *Tx) SetSealingKey(ctx context.Context, id string) error {
	return wrap("set which key seals", t.queries.SealingKeySet(ctx, t.dbtx, id))
}

// NamedKey is a sealed key with its owner: a customer, or one of the installation's own names.
type NamedKey struct {
	Name string
	SealedKey
}

// CustomerKeys reads up to limit customers' keys whose ids come after the given one, in order.
func (c Conn) CustomerKeys(ctx context.Context, after string, limit int32) ([]NamedKey, error) {
	rows, err := c.queries.CustomerKeyPage(ctx, c.dbtx, &db.CustomerKeyPageParams{After: after, PageSize: limit})
	if err != nil {
		return nil, wrap("list customer keys", err)
	}
	keys := make([]NamedKey, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, NamedKey{Name: row.CustomerID, SealedKey: SealedKey{KeyID: row.KeyID, Sealed: row.SealedKey}})
	}
	return keys, nil
}

// InstallationKeys reads all of the installation's own keys.
func (c Conn) InstallationKeys(ctx context.Context) ([]NamedKey, error) {
	rows, err := c.queries.InstallationKeyList(ctx, c.dbtx)
	if err != nil {
		return nil, wrap("list installation keys", err)
	}
	keys := make([]NamedKey, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, NamedKey{Name: row.Name, SealedKey: SealedKey{KeyID: row.KeyID, Sealed: row.SealedKey}})
	}
	return keys, nil
}

// ReplaceCustomerKey puts another sealing of the same key in the place of the one that was read; replaced is false
// where that is not there any more.
func (c Conn) ReplaceCustomerKey(ctx context.Context, was NamedKey, sealed SealedKey) (replaced bool, err error) {
	changed, err := c.queries.CustomerKeyResealIfSame(ctx, c.dbtx, &db.CustomerKeyResealIfSameParams{
		CustomerID: was.Name, Was: was.Sealed, KeyID: sealed.KeyID, SealedKey: sealed.Sealed,
	})
	return changed > 0, wrap("replace customer key", err)
}

// ReplaceInstallationKey does the same for one of the installation's own keys.
func (c Conn) ReplaceInstallationKey(ctx context.Context, was NamedKey, sealed SealedKey) (replaced bool, err error) {
	changed, err := c.queries.InstallationKeyResealIfSame(ctx, c.dbtx, &db.InstallationKeyResealIfSameParams{
		Name: was.Name, Was: was.Sealed, KeyID: sealed.KeyID, SealedKey: sealed.Sealed,
	})
	return changed > 0, wrap("replace installation key", err)
}

// KeysBySealer counts the stored keys by the key that sealed them.
func (c Conn) KeysBySealer(ctx context.Context) (map[string]int64, error) {
	rows, err := c.queries.KeyIDCounts(ctx, c.dbtx)
	if err != nil {
		return nil, wrap("count keys", err)
	}
	counts := make(map[string]int64, len(rows))
	for _, row := range rows {
		counts[row.KeyID] = row.Keys
	}
	return counts, nil
}
