package store

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// HoldDestination notes that the customer's destination asked to be left alone for that long.
func (t *Tx) HoldDestination(ctx context.Context, customer string, delay time.Duration) error {
	return t.later("hold destination", func(on db.DBTX) error {
		return t.queries.DestinationHoldLater(ctx, on, &db.DestinationHoldLaterParams{CustomerID: customer, Delay: delay})
	})
}

// DestinationHold is for how long the customer's destination is still to be left alone, 0 if it may be asked.
func (c Conn) DestinationHold(ctx context.Context, customer string) (time.Duration, error) {
	left, err := c.queries.DestinationHoldLeft(ctx, c.dbtx, customer)
	if noRows(err) {
		return 0, nil
	}
	return left, wrap("read destination's hold", err)
}

// NoteSharedContact notes a pair of users, one of them among these mappings, to which the destination gave one id, if no pair
// of the customer is noted yet. Ids that were given before since do not count. The mappings must have been saved.
func (t *Tx) NoteSharedContact(ctx context.Context, customer string, mappings []Mapping, since time.Time) error {
	if len(mappings) == 0 {
		return nil
	}
	params := &db.SharedContactNoteIfAnyParams{CustomerID: customer, Since: since}
	for _, mapping := range mappings {
		params.Ids = append(params.Ids, mapping.VomoID)
		params.ExternalIds = append(params.ExternalIds, mapping.ExternalID)
	}
	return t.later("note shared contact", func(on db.DBTX) error { return t.queries.SharedContactNoteIfAny(ctx, on, params) })
}

// SharedContact is a pair of users to which the destination gave one id.
type SharedContact struct {
	VomoID, OtherVomoID string
	ExternalID          string
}

// SharedContactOf is the customer's noted pair; ErrNotFound where none is noted.
func (c Conn) SharedContactOf(ctx context.Context, customer string) (SharedContact, error) {
	row, err := c.queries.SharedContactOf(ctx, c.dbtx, customer)
	if err != nil {
		return SharedContact{}, wrap("read shared contact", err)
	}
	return SharedContact{VomoID: row.VomoUserID, OtherVomoID: row.OtherVomoUserID, ExternalID: row.ExternalUserID}, nil
}

// RefreshSharedContacts forgets the pairs that share nothing any more, and notes another pair of the same customer where
// there is one.
func (s *Store) RefreshSharedContacts(ctx context.Context) error {
	over, err := s.queries.SharedContactsOver(ctx, s.dbtx)
	if err != nil {
		return wrap("look for shared contacts that are over", err)
	}
	var errs []error
	for _, customer := range over {
		errs = append(errs, s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
			if err := tx.queries.SharedContactForget(ctx, tx.dbtx, customer); err != nil {
				return wrap("forget shared contact", err)
			}
			return wrap("look for another shared contact", tx.queries.SharedContactFindAnother(ctx, tx.dbtx, customer))
		}))
	}
	return errors.Join(errs...)
}
