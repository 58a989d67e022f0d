package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

const (
	// scheduleAtOnce is how many customers one transaction schedules.
	scheduleAtOnce = 100
	// longestBack bounds how far a reconciliation reads back that was missed for long: polls have read that once.
	longestBack = 31 * 24 * time.Hour
)

// scheduler starts the reconciliations that are due.
type scheduler struct {
	store  *store.Store
	logger *zap.Logger
	kind   job.Kind
}

// schedule starts a reconciliation for each customer whose turn has come, a batch of them, and gives each its next
// turn. One that was missed, or several, are worked once: from the day before the first of them was due. A customer
// who has no turn yet is given one.
func (s *scheduler) schedule(ctx context.Context) (more bool, err error) {
	err = s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		due, err := tx.LockReconcileDue(ctx, scheduleAtOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		more = len(due) >= scheduleAtOnce
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		customers := map[time.Time][]string{} // by since when they are read
		for _, one := range due {
			if err := s.setNext(ctx, tx, one, now); err != nil {
				return err
			}
			if one.DueAt == nil {
				continue
			}
			since, err := sinceFor(ctx, tx, one.Customer, now, *one.DueAt)
			if err != nil {
				return err
			}
			customers[since] = append(customers[since], one.Customer)
		}
		for since, batch := range customers {
			if err := s.start(ctx, tx, batch, since, dayBefore(now)); err != nil {
				return err
			}
		}
		return nil
	})
	return more && err == nil, err
}

// setNext gives a customer its next turn.
func (s *scheduler) setNext(ctx context.Context, tx *store.Tx, one store.ReconcileDue, now time.Time) error {
	zone, err := zoneOf(one.QuietHours)
	if err != nil {
		s.logger.Warn("the customer's zone is not known; its nights are UTC's", zap.String("customer", one.Customer), zap.Error(err))
	}
	return tx.SetNextReconcile(ctx, one.Customer, nextNight(one.Customer, zone, now))
}

// sinceFor is sinceOf with what the customer's reconciliations have come to.
func sinceFor(ctx context.Context, tx *store.Tx, customer string, now, dueAt time.Time) (time.Time, error) {
	last, err := tx.Reconciled(ctx, customer)
	return sinceOf(now, dueAt, last), err
}

// sinceOf is since when a reconciliation reads: since the beginning of yesterday; where it comes days too late, since
// that of the day before it was due; and where one was given up, since the day after the last that was reconciled.
func sinceOf(now, dueAt, reconciled time.Time) time.Time {
	yesterday := dayBefore(now)
	since := earlier(yesterday, earlier(dayBefore(dueAt), reconciled.AddDate(0, 0, 1)))
	if oldest := yesterday.Add(-longestBack); since.Before(oldest) {
		return oldest
	}
	return since
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (s *scheduler) start(ctx context.Context, tx *store.Tx, customers []string, since, day time.Time) error {
	traces := make([]string, 0, len(customers))
	for range customers {
		traces = append(traces, event.NewTraceID())
	}
	runs, err := tx.StartSyncRuns(ctx, store.SyncStart{
		Kind: s.kind.Name, Job: s.kind.Job, Customers: customers, TraceIDs: traces, UpdatedAfter: since, Day: day,
	})
	if err != nil {
		return err
	}
	return s.kind.Request(ctx, tx, runs)
}
