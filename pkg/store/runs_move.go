package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// moveAtOnce keeps one transaction of the move short.
const moveAtOnce = 200

// MoveRuns moves the unfinished runs of a kind from the tables of the version before, backfill_runs and sync_runs, to the table
// of this version. While services of both versions run, those of the version before may add rows, so it is called again and
// again.
//
// The runs of customers whose lane is free are moved under a new epoch of the lane, a batch of customers in each transaction: a
// worker that held a lane and slept commits nothing more. A customer whose lane is taken is left out, until its worker lets go
// or the run is claimed by a service of this version.
func (s *Store) MoveRuns(ctx context.Context, kind string) error {
	for after := ""; ; {
		customers, err := s.customersToMove(ctx, kind, after)
		if err != nil || len(customers) == 0 {
			return err
		}
		after = customers[len(customers)-1]
		err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
			free, err := tx.queries.MoveTakeLanes(ctx, tx.dbtx, customers)
			if err != nil {
				return err
			}
			return tx.moveRuns(ctx, free, kind)
		})
		if err != nil {
			return err
		}
	}
}

func (s *Store) customersToMove(ctx context.Context, kind, after string) ([]string, error) {
	if kind == KindBackfill {
		return s.queries.MoveCustomersOfBackfills(ctx, s.dbtx, &db.MoveCustomersOfBackfillsParams{After: after, AtMost: moveAtOnce})
	}
	return s.queries.MoveCustomersOfScheduled(ctx, s.dbtx, &db.MoveCustomersOfScheduledParams{Kind: kind, After: after, AtMost: moveAtOnce})
}

// moveRuns moves the unfinished runs of these customers and kinds. A worker of one of them that is at work finds its run gone at
// its next commit, as ErrLaneLost.
func (t *Tx) moveRuns(ctx context.Context, customers []string, kinds ...string) error {
	scheduled := make([]string, 0, len(kinds))
	for _, kind := range kinds {
		if kind != KindBackfill {
			scheduled = append(scheduled, kind)
		} else if err := t.moveBackfills(ctx, customers); err != nil {
			return err
		}
	}
	if len(scheduled) == 0 {
		return nil
	}
	ids, err := t.queries.MoveLockScheduled(ctx, t.dbtx, &db.MoveLockScheduledParams{CustomerIds: customers, Kinds: scheduled})
	if err != nil || len(ids) == 0 {
		return err
	}
	return t.queries.MoveScheduled(ctx, t.dbtx, ids)
}

func (t *Tx) moveBackfills(ctx context.Context, customers []string) error {
	rows, err := t.queries.MoveLockBackfills(ctx, t.dbtx, customers)
	if err != nil || len(rows) == 0 {
		return err
	}
	ids := make([]int64, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ID)
		if row.RewriteBefore == nil {
			continue
		}
		if err := t.replaceByRewrite(ctx, row.CustomerID, *row.RewriteBefore); err != nil {
			return err
		}
	}
	return t.queries.MoveBackfills(ctx, t.dbtx, ids)
}

// replaceByRewrite ends the customer's run if it began before the rewrite that is moved. A service of the version before, which
// does not see the run, started the rewrite for another destination.
func (t *Tx) replaceByRewrite(ctx context.Context, customer string, before time.Time) error {
	run, err := oneRun(t.queries.BackfillMoved(ctx, t.dbtx, customer))
	if isNotFound(err) || err == nil && run.Rewrite != nil && !run.Rewrite.Before.Before(before) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = t.queries.BackfillEnd(ctx, t.dbtx, &db.BackfillEndParams{CustomerID: customer, State: string(RunCancelled)})
	if err != nil {
		return err
	}
	return t.FinishJob(ctx, run.JobID, run.Processed, run.Failures, "superseded")
}
