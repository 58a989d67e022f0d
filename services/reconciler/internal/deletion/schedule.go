package deletion

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/reconciler/internal/night"
)

const (
	// scheduleAtOnce is the largest number of customers that one transaction schedules.
	scheduleAtOnce = 100
	// expireAfter is how long a held run waits for an operator.
	expireAfter = 14 * 24 * time.Hour
	// lateAfter is how late a scan may begin: longer than a night lasts.
	lateAfter   = 6 * time.Hour
	forgetEvery = time.Minute
	// forgetAtMost bounds one round of deleting: the next one continues.
	forgetAtMost = 100
)

// Scheduler starts the scans that are due, and ends what became too old. Every replica runs one.
type Scheduler struct {
	Store     *store.Store
	Logger    *zap.Logger
	Kind      job.Kind
	Retention time.Duration // of candidates and ended runs
}

// Schedule starts the scans of a batch of due customers and sets the next time of each. A customer with a held run gets
// no scan until that is decided, and a customer without a next time gets one. A scan that is hours late, because its customer was paused
// or the service was down, waits for the next night: it reads all users.
func (s *Scheduler) Schedule(ctx context.Context) (more bool, err error) {
	err = s.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		due, err := tx.LockDeletionScanDue(ctx, scheduleAtOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		more = len(due) >= scheduleAtOnce
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		var customers []string
		for _, one := range due {
			zone, err := night.Zone(one.QuietHours)
			if err != nil {
				s.Logger.Warn("the customer's zone is not known; its nights are UTC's", zap.String("customer", one.Customer), zap.Error(err))
			}
			isLate := one.DueAt != nil && now.Sub(*one.DueAt) > lateAfter
			next := night.NextWeekly(one.Customer, zone, now)
			if isLate {
				next = night.Next(one.Customer, zone, now)
			}
			if err := tx.SetNextDeletionScan(ctx, one.Customer, next); err != nil {
				return err
			}
			if one.DueAt != nil && !one.Held && !isLate {
				customers = append(customers, one.Customer)
			}
		}
		runs, err := start(ctx, tx, customers)
		if err != nil {
			return err
		}
		return s.Kind.Request(ctx, tx, runs)
	})
	return more && err == nil, err
}

// Clean ends held runs that no operator decided about, and deletes candidates and runs by their age, every minute until ctx ends.
func (s *Scheduler) Clean(ctx context.Context) {
	job.Every(ctx, forgetEvery, func() {
		if err := s.expire(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Warn("held deletion scans were not ended", zap.Error(err))
		}
		for range forgetAtMost {
			more, err := s.Store.ForgetDeletions(ctx, s.Retention)
			if err != nil && ctx.Err() == nil {
				s.Logger.Warn("old deletion candidates were not deleted", zap.Error(err))
			}
			if err != nil || !more {
				return
			}
		}
	})
}

// alertHeld returns the alert about a held run.
func alertHeld(entity string) string {
	if entity == store.EntityGift {
		return event.AlertGiftDeletionsHeld
	}
	return event.AlertDeletionsHeld
}

// expire ends held runs whose time is over, and clears their alerts.
func (s *Scheduler) expire(ctx context.Context) error {
	for {
		expired := 0
		err := s.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			runs, err := tx.ExpireDeletionRuns(ctx, expireAfter)
			if err != nil {
				return err
			}
			expired = len(runs)
			for _, run := range runs {
				if err := event.Clear(ctx, tx, run.Customer, alertHeld(run.Entity), "No operator approved it within 14 days: nothing was deleted."); err != nil {
					return err
				}
				s.Logger.Info("held deletion scan expired", zap.String("customer", run.Customer), zap.Int64("run", run.ID))
			}
			return nil
		})
		if err != nil || expired == 0 {
			return err
		}
	}
}
