package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// SealedKey is a key sealed by the installation's keeper.
type SealedKey struct {
	KeyID  string // which of the keeper's keys sealed it
	Public string // the public half, for a pair; else ""
	Sealed []byte
}

// CustomerKey reads a customer's sealed data key; ErrNotFound where there is none (any more).
func (c Conn) CustomerKey(ctx context.Context, customer string) (SealedKey, error) {
	row, err := c.queries.CustomerKeyGet(ctx, c.dbtx, customer)
	if err != nil {
		return SealedKey{}, wrap("read customer key", err)
	}
	return SealedKey{KeyID: row.KeyID, Sealed: row.SealedKey}, nil
}

// AddCustomerKey stores a customer's sealed data key unless one stands already.
func (c Conn) AddCustomerKey(ctx context.Context, customer string, key SealedKey) error {
	return wrap("add customer key", c.queries.CustomerKeyInsertIfAbsent(ctx, c.dbtx, &db.CustomerKeyInsertIfAbsentParams{
		CustomerID: customer, KeyID: key.KeyID, SealedKey: key.Sealed,
	}))
}

// InstallationKey reads one of the installation's own sealed keys; ErrNotFound where there is none yet.
func (c Conn) InstallationKey(ctx context.Context, name string) (SealedKey, error) {
	row, err := c.queries.InstallationKeyGet(ctx, c.dbtx, name)
	if err != nil {
		return SealedKey{}, wrap("read installation key", err)
	}
	key := SealedKey{KeyID: row.KeyID, Sealed: row.SealedKey}
	if row.PublicKey != nil {
		key.Public = *row.PublicKey
	}
	return key, nil
}

// AddInstallationKey stores one of the installation's own sealed keys unless one stands already.
func (c Conn) AddInstallationKey(ctx context.Context, name string, key SealedKey) error {
	var public *string
	if key.Public != "" {
		public = &key.Public
	}
	return wrap("add installation key", c.queries.InstallationKeyInsertIfAbsent(ctx, c.dbtx, &db.InstallationKeyInsertIfAbsentParams{
		Name: name, KeyID: key.KeyID, PublicKey: public, SealedKey: key.Sealed,
	}))
}
