package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Rewrite says what a run writes again although its version is known.
type Rewrite struct {
	Before    time.Time // what was synced before
	NewSystem bool      // the destination is another one, in which the known ids mean nothing
}

// StartRewrite is StartBackfill for a run that also writes again whatever was synced before now.
func (t *Tx) StartRewrite(ctx context.Context, customer, job, traceID string, newSystem bool) (id int64, started bool, err error) {
	owed, err := t.RewriteOwed(ctx, customer)
	if err != nil {
		return 0, false, err
	}
	id, started, err = t.StartBackfill(ctx, customer, job, traceID)
	if err != nil || !started {
		return id, started, err
	}
	now, err := t.Now(ctx)
	if err != nil {
		return 0, false, err
	}
	return id, true, t.setRewrite(ctx, id, Rewrite{Before: now, NewSystem: newSystem || (owed != nil && owed.NewSystem)})
}

// NewSystemSince returns since when the customer's destination is the system that it is now; 1970 if it was never replaced. Ids
// of users that were written before, and not since, are another system's.
func (c Conn) NewSystemSince(ctx context.Context, customer string) (time.Time, error) {
	return c.queries.NewSystemSince(ctx, c.dbtx, customer)
}

// RewriteOwed returns the rewrite that was begun and not completed, nil if there is none: what was synced
// before may not stand in the destination, although its version is known.
func (c Conn) RewriteOwed(ctx context.Context, customer string) (*Rewrite, error) {
	row, err := c.queries.RewriteOwed(ctx, c.dbtx, customer)
	if isNotFound(err) {
		return nil, nil //nolint:nilnil // none is an answer, and no error
	}
	if err != nil {
		return nil, err
	}
	return &Rewrite{Before: row.Owed, NewSystem: row.NewSystem}, nil
}

func (t *Tx) setRewrite(ctx context.Context, run int64, rewrite Rewrite) error {
	return t.queries.RunSetRewrite(ctx, t.dbtx, &db.RunSetRewriteParams{
		ID: run, RewriteBefore: &rewrite.Before, NewSystem: rewrite.NewSystem,
	})
}

// SyncedBefore are those of these users who were last written before the given time.
func (c Conn) SyncedBefore(ctx context.Context, customer string, vomoIDs []string, before time.Time) (map[string]bool, error) {
	ids, err := c.queries.MappingsSyncedBefore(ctx, c.dbtx, &db.MappingsSyncedBeforeParams{CustomerID: customer, Ids: vomoIDs, Before: before})
	if err != nil {
		return nil, err
	}
	older := make(map[string]bool, len(ids))
	for _, id := range ids {
		older[id] = true
	}
	return older, nil
}

// RewritesOwed returns which of the customers have a rewrite that was not completed.
func (c Conn) RewritesOwed(ctx context.Context, customers []string) (map[string]bool, error) {
	rows, err := c.queries.RewritesOwedFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	owed := make(map[string]bool, len(rows))
	for _, row := range rows {
		owed[row] = true
	}
	return owed, nil
}
