package mappingarchive

import (
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// Restore brings back a customer's archived mappings, part by part, each in a transaction of the lane. It returns how many
// there were. If it is interrupted, the next call does the rest.
func Restore(ctx context.Context, from *store.Store, keys *vault.Vault, lease *store.Lease) (users int, err error) {
	for {
		part, err := from.FirstArchivePart(ctx, lease.Customer)
		if errors.Is(err, store.ErrNotFound) {
			return users, nil
		}
		if err != nil {
			return users, err
		}
		packed, err := keys.Open(ctx, lease.Customer, purpose, part.Sealed)
		if err != nil {
			return users, fmt.Errorf("open archived mappings: %w", err)
		}
		mappings, err := unpack(packed)
		if err != nil {
			return users, err
		}
		err = from.InLane(ctx, lease, func(ctx context.Context, tx *store.Tx) error {
			return tx.RestoreMappings(ctx, lease.Customer, part.Part, mappings)
		})
		if err != nil {
			return users, err
		}
		users += part.Users
	}
}
