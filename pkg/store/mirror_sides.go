package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/store/internal/db"
)

// MirrorSides are what opening both sides of a customer's mirror needs to know. They stay true while the reader holds the lane.
type MirrorSides struct {
	VomoToken        []byte        // sealed; nil: there is none
	DestinationToken []byte        // sealed; nil: there is none
	Key              SealedKey     // without an id: there is none
	Archived         bool          // the customer's mappings, or some of them, are archived
	Hold             time.Duration // for how long the destination must still be left alone
	Alerts           []string      // types of the active alerts of the customer and of the installation
	TokenWorks       bool          // TokenWorked would change nothing
	Throttled        bool          // ForgetThrottles would change something
	RewriteOwed      *Rewrite      // as RewriteOwed returns it
	LettersOpen      bool          // users of the customer have open letters
}

// MirrorSides returns what opening both sides of the customer's mirror needs to know.
func (c Conn) MirrorSides(ctx context.Context, customer string) (MirrorSides, error) {
	row, err := c.queries.MirrorSidesOf(ctx, c.dbtx, customer)
	if err != nil {
		return MirrorSides{}, err
	}
	return sidesFrom(row), nil
}

func sidesFrom(row *db.MirrorSidesOfRow) MirrorSides {
	sides := MirrorSides{
		VomoToken: row.VomoToken, DestinationToken: row.DestinationToken, Key: SealedKey{KeyID: row.KeyID, Sealed: row.SealedKey},
		Archived: row.Archived, Hold: row.Hold, Alerts: row.Alerts, TokenWorks: row.TokenWorks, Throttled: row.Throttles > 0,
		LettersOpen: row.LettersOpen,
	}
	if row.RewriteOwed != nil {
		sides.RewriteOwed = &Rewrite{Before: *row.RewriteOwed, NewSystem: row.NewSystem}
	}
	return sides
}

// CustomerAndRun returns the customer with its unfinished run of the kind, in one round trip. The run is nil if there is none;
// ErrNotFound if no customer with that id was onboarded.
func (s *Store) CustomerAndRun(ctx context.Context, customer, kind string) (found Customer, run *Run, err error) {
	batch := &pgx.Batch{}
	known := queueCustomer(batch, customer, &found)
	queueRow(batch, func(on db.DBTX) error {
		_, err := s.queries.RunOpen(ctx, on, &db.RunOpenParams{CustomerID: customer, Kind: kind})
		return err
	}, func(row *db.AllRun) error {
		open, err := oneOfAll(row, nil)
		run = &open
		return err
	})
	if err := s.pool.Load().SendBatch(ctx, batch).Close(); err != nil {
		return Customer{}, nil, mapError("send statements", err)
	}
	if !*known {
		return Customer{}, nil, &operationError{operation: "read customer " + customer, cause: ErrNotFound}
	}
	return found, run, nil
}
