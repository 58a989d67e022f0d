package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/services/reconciler/internal/night"
)

const (
	// scheduleAtOnce is the largest number of customers that one transaction schedules.
	scheduleAtOnce = 100
	// longestBack limits how far back a reconciliation reads after many missed ones: polls have read those days
	// already.
	longestBack = 31 * 24 * time.Hour
)

// scheduler starts the reconciliations that are due.
type scheduler struct {
	store  *store.Store
	logger *zap.Logger
	kind   job.Kind
}

// schedule starts a reconciliation for a batch of due customers and sets the next time of each. If one or several
// were missed, one run makes up for all of them: it reads from the day before the first of them was due. A customer
// without a next time gets one.
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
		customers := map[time.Time][]string{} // by the time from which they are read
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

// setNext sets the customer's next time.
func (s *scheduler) setNext(ctx context.Context, tx *store.Tx, one store.ReconcileDue, now time.Time) error {
	zone, err := night.Zone(one.QuietHours)
	if err != nil {
		s.logger.Warn("the customer's zone is not known; its nights are UTC's", zap.String("customer", one.Customer), zap.Error(err))
	}
	return tx.SetNextReconcile(ctx, one.Customer, night.Next(one.Customer, zone, now))
}

// sinceFor is sinceOf, with the customer's last reconciled day read from the database.
func sinceFor(ctx context.Context, tx *store.Tx, customer string, now, dueAt time.Time) (time.Time, error) {
	last, err := tx.Reconciled(ctx, customer)
	return sinceOf(now, dueAt, last), err
}

// sinceOf returns from when a reconciliation reads: from the beginning of yesterday; if it runs days too late, from
// the day before it was due; and if an earlier one was given up, from the day after the last reconciled day.
func sinceOf(now, dueAt, lastReconciled time.Time) time.Time {
	yesterday := dayBefore(now)
	since := earlier(yesterday, earlier(dayBefore(dueAt), lastReconciled.AddDate(0, 0, 1)))
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
		traces = append(traces, telemetry.TraceParent(ctx))
	}
	runs, err := tx.StartRuns(ctx, store.RunStart{
		Kind: s.kind.Name, Job: store.JobUserDaily, Customers: customers, TraceIDs: traces, UpdatedAfter: since, Day: day,
	})
	if err != nil {
		return err
	}
	return s.kind.Request(ctx, tx, runs)
}
