// Package applied settles the fields of contacts that wait for the platform, when the platform says that it has Virtuous' values.
//
// It promises that the same statement twice has the result of one, and that a statement settles nothing but what waits for the platform: a field in
// conflict, or one that is to be written to Virtuous, stays as it is.
package applied

import (
	"context"
	"errors"
	"slices"

	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/store"
)

// ErrUnknown means that the platform has no such contact.
var ErrUnknown = errors.New("the platform has no such contact")

// Settle settles what the platform says that it applied, and returns the names of the settled fields; none if nothing waited. A transaction that also
// locks the customer does so before. Errors: ErrUnknown; store.ErrNotFound if the customer has no giving.
func Settle(ctx context.Context, tx *store.Tx, customer string, what giving.Applied) (fields []string, err error) {
	// As everything that changes a customer's contacts, before their rows.
	if _, err := tx.LockInbound(ctx, customer); err != nil {
		return nil, err
	}
	contacts, err := lock(ctx, tx, customer, what)
	if err != nil {
		return nil, err
	}
	if len(contacts) == 0 {
		return nil, ErrUnknown
	}
	if what.Fields == nil {
		what.Fields = []string{}
	}
	var atVirtuous []int64
	for _, contact := range contacts {
		settled, err := tx.SettleApplied(ctx, customer, contact.ID, what.Fields)
		if err != nil {
			return nil, err
		}
		if len(settled) > 0 {
			fields, atVirtuous = append(fields, settled...), append(atVirtuous, contact.VirtuousContactID)
		}
	}
	slices.Sort(atVirtuous)
	for _, id := range slices.Compact(atVirtuous) {
		if err := tx.SetContactSyncState(ctx, customer, id); err != nil {
			return nil, err
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields), nil
}

func lock(ctx context.Context, tx *store.Tx, customer string, what giving.Applied) ([]store.LockedContact, error) {
	if what.ReferenceID != "" {
		return tx.LockContactsOfReference(ctx, customer, what.ReferenceID)
	}
	return tx.LockContactsOfVirtuous(ctx, customer, what.VirtuousContactID)
}
