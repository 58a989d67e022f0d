package store

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// HoldDestination stores that the customer's destination asked for a pause of that length. A pipelined transaction defers the
// statement.
func (t *Tx) HoldDestination(ctx context.Context, customer string, delay time.Duration) error {
	return t.deferred(func(on db.DBTX) error {
		return t.queries.DestinationHoldLater(ctx, on, &db.DestinationHoldLaterParams{CustomerID: customer, Delay: delay})
	})
}

// NoteSharedContact stores a pair of users to which the destination gave one id, if no pair of the customer is stored yet. One of the
// two is among these mappings, which the caller has saved. Ids that were given before since do not count. A pipelined transaction
// defers the statement.
func (t *Tx) NoteSharedContact(ctx context.Context, customer string, mappings []Mapping, since time.Time) error {
	if len(mappings) == 0 {
		return nil
	}
	params := &db.SharedContactNoteIfAnyParams{CustomerID: customer, Since: since}
	for _, mapping := range mappings {
		params.Ids = append(params.Ids, mapping.VomoID)
		params.ExternalIds = append(params.ExternalIds, mapping.ExternalID)
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.SharedContactNoteIfAny(ctx, on, params) })
}

// RefreshSharedContacts deletes the pairs that no longer share an id, and stores another pair of the same customer if there is one.
func (s *Store) RefreshSharedContacts(ctx context.Context) error {
	over, err := s.queries.SharedContactsOver(ctx, s.dbtx)
	if err != nil {
		return err
	}
	var errs []error
	for _, customer := range over {
		errs = append(errs, s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
			if err := tx.queries.SharedContactForget(ctx, tx.dbtx, customer); err != nil {
				return err
			}
			return tx.queries.SharedContactFindAnother(ctx, tx.dbtx, customer)
		}))
	}
	return errors.Join(errs...)
}
