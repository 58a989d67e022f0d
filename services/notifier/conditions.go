package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

const (
	lookEvery   = 30 * time.Second
	lookWithin  = 25 * time.Second // for the question of all; those whom it finds have their own time
	forgetEvery = time.Hour
	noteKept    = 40 * 24 * time.Hour // longer than the stream keeps what was told
	overKept    = 90 * 24 * time.Hour // alerts and letters after they were over, and who was missing in a reconciliation
	forgetBatch = 10_000
)

// watch raises and clears what only time brings. Any replica does it: to raise what stands, or to clear what does not,
// changes nothing.
type watch struct {
	store  *store.Store
	logger *zap.Logger
	bounds store.ConditionBounds
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	look, forget := time.NewTicker(lookEvery), time.NewTicker(forgetEvery)
	defer look.Stop()
	defer forget.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.logger.Warn("conditions were not looked for; it is tried again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-forget.C:
			if err := w.forget(ctx); err != nil && ctx.Err() == nil {
				w.logger.Warn("what is long over was not deleted; it is tried again", zap.Error(err))
			}
		}
	}
}

// look compares what holds with what stands, with two statements for all customers, and settles those who differ.
func (w *watch) look(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	// One customer's pair that cannot be looked at must not keep the others' conditions from being found.
	refreshed := w.store.RefreshSharedContacts(asking)
	holding, err := w.store.ConditionsOfAll(asking, w.bounds)
	if err != nil {
		return errors.Join(refreshed, err)
	}
	standing, err := w.store.StandingOf(asking, store.TimedConditions())
	if err != nil {
		return errors.Join(refreshed, err)
	}
	errs := []error{refreshed}
	for _, customer := range concerned(holding, standing) {
		if err := w.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return w.settle(ctx, tx, customer) }); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// concerned are the customers for whom what holds is not what stands.
func concerned(holding, standing []store.Condition) []string {
	type known struct{ customer, kind string }
	differing := map[known]bool{}
	for _, condition := range holding {
		differing[known{condition.Customer, condition.Type}] = true
	}
	for _, condition := range standing {
		one := known{condition.Customer, condition.Type}
		if differing[one] {
			delete(differing, one)
			continue
		}
		differing[one] = true
	}
	customers := map[string]bool{}
	for one := range differing {
		customers[one.customer] = true
	}
	return slices.Sorted(maps.Keys(customers))
}

// settle looks at one customer again, since a poll may have ended meanwhile, and raises and clears by that.
func (w *watch) settle(ctx context.Context, tx *store.Tx, customer string) error {
	holding, err := tx.ConditionsOf(ctx, w.bounds, customer)
	if err != nil {
		return err
	}
	expected, err := worked(ctx, tx, customer)
	if err != nil {
		return err
	}
	for _, kind := range store.TimedConditions() {
		holds := slices.ContainsFunc(holding, func(condition store.Condition) bool { return condition.Type == kind })
		if holds {
			var alert event.Alert
			if alert, err = alertOf(ctx, tx, customer, kind); err != nil {
				return err
			}
			err = event.Raise(ctx, tx, alert)
		} else {
			err = event.Clear(ctx, tx, customer, kind, over(kind, expected))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// alertOf is the alert of a condition: that of a stall says what the work waits for, if it is parked, and that of a shared
// record who shares it.
func alertOf(ctx context.Context, tx *store.Tx, customer, kind string) (event.Alert, error) {
	if kind == store.ConditionContactShared {
		shared, err := tx.SharedContactOf(ctx, customer)
		if errors.Is(err, store.ErrNotFound) { // a mapping is gone since: the next look clears it
			return event.AlertFor(customer, kind), nil
		}
		return event.SharedContactFor(customer, shared), err
	}
	work := map[string]string{
		store.ConditionBackfillStalled: store.WorkBackfill, store.ConditionPollStalled: store.KindPoll,
		store.ConditionReconcileStalled: store.KindUserDaily,
	}[kind]
	var parked []store.Parked
	var err error
	switch work {
	case "":
		return event.AlertFor(customer, kind), nil
	case store.WorkBackfill:
		var run store.Run
		if run, err = tx.LatestRun(ctx, customer); err == nil {
			if one, ok := run.Parked(); ok {
				parked = append(parked, one)
			}
		}
	default:
		var all map[string][]store.Parked
		all, err = tx.ParkedOf(ctx, customer)
		parked = all[customer]
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return event.Alert{}, err
	}
	for _, one := range parked {
		if one.Work == work && one.Parks > 0 {
			return event.StalledFor(customer, kind, one.Reason, one.Detail), nil
		}
	}
	return event.AlertFor(customer, kind), nil
}

// worked says whether any work is expected for the customer.
func worked(ctx context.Context, tx *store.Tx, id string) (bool, error) {
	customer, err := tx.Customer(ctx, id)
	if errors.Is(err, store.ErrNotFound) { // letters of nobody's
		return false, nil
	}
	return customer.Active(), err
}

// over says why a condition is.
func over(kind string, expected bool) string {
	switch {
	case kind == store.ConditionDLQAge:
		return "No open dead letter is older than DLQ_MAX_AGE any more."
	case kind == store.ConditionContactShared:
		return "No two users are known to be one record at the destination any more."
	case kind == store.ConditionDLQGrowth:
		return "Dead letters of the last hour are few again."
	case !expected:
		return "No work is expected: the customer is paused, switched off or offboarded."
	case kind == store.ConditionPollStalled:
		return "A poll came to its end again."
	case kind == store.ConditionBackfillStalled:
		return "The backfill gets on again, or waits for a time that was asked for."
	case kind == store.ConditionReconcileStalled:
		return "A daily reconciliation came to its end again."
	}
	return "It is over."
}

// forget deletes what was noted of messages that their streams do not have any more, and what is long over.
func (w *watch) forget(ctx context.Context) error {
	return errors.Join(
		inBatches(func() (int64, error) { return w.store.ForgetTold(ctx, noteKept, forgetBatch) }),
		inBatches(func() (int64, error) { return w.store.ForgetAlerts(ctx, overKept, forgetBatch) }),
		inBatches(func() (int64, error) { return w.store.ForgetLetters(ctx, overKept, forgetBatch) }),
		inBatches(func() (int64, error) { return w.store.ForgetGaps(ctx, overKept, forgetBatch) }),
		inBatches(func() (int64, error) { return w.store.ForgetAlertArrivals(ctx, noteKept, forgetBatch) }),
		inBatches(func() (int64, error) { return w.store.ForgetAttempts(ctx, noteKept, forgetBatch) }),
	)
}

// inBatches deletes batch after batch until one is not full.
func inBatches(forget func() (int64, error)) error {
	for {
		deleted, err := forget()
		if err != nil || deleted < forgetBatch {
			return err
		}
	}
}
