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
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	checkEvery   = 30 * time.Second
	checkTimeout = 25 * time.Second // for the two statements about all customers; each update has its own time
)

// conditionWatch raises and clears the alerts that only time reveals. Every replica runs it: to raise an active alert, or
// clear an inactive one, changes nothing.
type conditionWatch struct {
	store  *store.Store
	logger *zap.Logger
	bounds store.ConditionBounds
}

// run checks the conditions until ctx ends.
func (w *conditionWatch) run(ctx context.Context) {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		if err := w.check(ctx); err != nil && ctx.Err() == nil {
			w.logger.Warn("check of conditions failed; it will be retried", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-check.C:
		}
	}
}

// check compares the detected conditions with the active alerts, with two statements for all customers, and updates the
// alerts of the customers for which they differ.
func (w *conditionWatch) check(ctx context.Context) error {
	checking, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	// If one customer's shared contact cannot be refreshed, the other customers' conditions are still checked.
	refreshed := w.store.RefreshSharedContacts(checking)
	detected, err := w.store.ConditionsOfAll(checking, w.bounds)
	if err != nil {
		return errors.Join(refreshed, err)
	}
	active, err := w.store.ActiveAlertsOf(checking, store.TimedConditions())
	if err != nil {
		return errors.Join(refreshed, err)
	}
	errs := []error{refreshed, w.checkAudit(checking)}
	for _, customer := range changedCustomers(detected, active) {
		if err := w.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return w.updateAlerts(ctx, tx, customer) }); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// checkAudit raises an alert while the default partition of the audit, or of the log of reconciliations, has lines, and clears it.
func (w *conditionWatch) checkAudit(ctx context.Context) error {
	used, err := w.store.AuditDefaultUsed(ctx)
	if err != nil {
		return err
	}
	active, err := w.store.HasActiveAlert(ctx, rollcallv1.Installation, event.AlertAuditUnpartitioned)
	if err != nil || used == active {
		return err
	}
	return w.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if used {
			return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, event.AlertAuditUnpartitioned))
		}
		return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertAuditUnpartitioned, "All lines are in their months.")
	})
}

// changedCustomers returns the customers whose detected conditions differ from their active alerts.
func changedCustomers(detected []store.Condition, active []store.CustomerAlert) []string {
	type key struct{ customer, kind string }
	differing := map[key]bool{}
	for _, condition := range detected {
		differing[key{condition.Customer, condition.Type}] = true
	}
	for _, condition := range active {
		one := key{condition.Customer, condition.Type}
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

// updateAlerts raises and clears one customer's alerts. It detects the conditions again, because a poll may have ended since.
func (w *conditionWatch) updateAlerts(ctx context.Context, tx *store.Tx, customer string) error {
	detected, err := tx.ConditionsOf(ctx, w.bounds, customer)
	if err != nil {
		return err
	}
	workExpected, err := isWorkExpected(ctx, tx, customer)
	if err != nil {
		return err
	}
	for _, kind := range store.TimedConditions() {
		isDetected := slices.ContainsFunc(detected, func(condition store.Condition) bool { return condition.Type == kind })
		if isDetected {
			var alert event.Alert
			if alert, err = conditionAlert(ctx, tx, customer, kind); err != nil {
				return err
			}
			err = event.Raise(ctx, tx, alert)
		} else {
			err = event.Clear(ctx, tx, customer, kind, clearedText(kind, workExpected))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// conditionAlert returns the alert of a condition. The alert of a stall names the park reason, if the run is parked. The
// alert of a shared contact names the users.
func conditionAlert(ctx context.Context, tx *store.Tx, customer, kind string) (event.Alert, error) {
	if kind == store.ConditionContactShared {
		shared, err := tx.SharedContact(ctx, customer)
		if errors.Is(err, store.ErrNotFound) { // a mapping was deleted since: the next check clears the alert
			return event.AlertFor(customer, kind), nil
		}
		return event.SharedContactFor(customer, shared), err
	}
	work := map[string]string{
		store.ConditionBackfillStalled: store.KindBackfill, store.ConditionPollStalled: store.KindPoll,
		store.ConditionReconcileStalled: store.KindUserDaily,
	}[kind]
	var parked []store.Parked
	var err error
	switch work {
	case "":
		return event.AlertFor(customer, kind), nil
	case store.KindBackfill:
		var run store.Run
		if run, err = tx.LatestBackfill(ctx, customer); err == nil {
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

// isWorkExpected returns whether any run is expected for the customer.
func isWorkExpected(ctx context.Context, tx *store.Tx, id string) (bool, error) {
	customer, err := tx.Customer(ctx, id)
	if errors.Is(err, store.ErrNotFound) { // letters of an unknown customer
		return false, nil
	}
	return customer.Active(), err
}

// clearedText returns the text of a "cleared" notice: why the condition has ended.
func clearedText(kind string, workExpected bool) string {
	switch {
	case kind == store.ConditionDLQAge:
		return "No open dead letter is older than DLQ_MAX_AGE."
	case kind == store.ConditionContactShared:
		return "No two users share one record at the destination."
	case kind == store.ConditionGivingPendingAge:
		return "No donation has been waiting for longer than GIVING_PENDING_AGE, or giving is paused or switched off."
	case kind == store.ConditionDLQGrowth:
		return "Few dead letters were opened in the last hour."
	case !workExpected:
		return "No work is expected: the customer is paused, switched off or offboarded."
	case kind == store.ConditionPollStalled:
		return "A poll has completed."
	case kind == store.ConditionBackfillStalled:
		return "The backfill makes progress again, or waits until a time that was set."
	case kind == store.ConditionReconcileStalled:
		return "A daily reconciliation has completed."
	}
	return "The condition has ended."
}
