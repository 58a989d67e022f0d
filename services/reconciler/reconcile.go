package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// reconciler handles requests to reconcile. The category of a request is the kind of its run.
type reconciler struct {
	runners  job.Runners
	store    *store.Store
	reporter dailyreport.Reporter
	wake     func(customers ...string) // has the rounds of giving look at once
}

// handle validates a request and works the customer's run of its category.
func (r *reconciler) handle(ctx context.Context, delivery *worker.Delivery) error {
	category := bus.CategoryOf(delivery.Subject)
	runner, known := r.runners[category]
	if !slices.Contains(bus.Categories(), category) { // a later version may know it
		return fault.Permanent("category_unknown", fmt.Errorf("no reconciliation of that category is known to this version: use one of %s",
			strings.Join(bus.Categories(), ", ")))
	}
	request := &rollcallv1.ReconcileRequest{}
	customer := bus.CustomerOf(delivery.Subject)
	errs := rollcallv1.Decode(delivery.Data, request)
	if len(errs) == 0 {
		errs = request.Validate(customer)
	}
	if len(errs) > 0 {
		return fault.Permanent("request_invalid", fmt.Errorf("read request to reconcile: %w", errs))
	}
	if !known {
		return r.askGiving(ctx, delivery, customer, category)
	}
	return runner.Work(ctx, delivery, customer, request.GetRunId())
}

// userDailyKind returns what distinguishes the daily reconciliation from other kinds of runs
// (docs/guides.md#daily-reconciliation).
func userDailyKind() job.Kind {
	reconciliation := job.Scan{OnPage: noteGaps, OnDone: onDone}
	return job.Kind{
		Name: store.KindUserDaily, Job: job.Always(store.JobUserDaily), Serves: store.Customer.Steady, Routine: true, Start: startByHand,
		Message: job.ReconcileMessage, Work: reconciliation.Work,
	}
}

// startByHand starts a reconciliation regardless of the schedule, from where the schedule would start it.
func startByHand(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	since, err := sinceFor(ctx, tx, customer.ID, now, now)
	if err != nil {
		return err
	}
	_, err = tx.StartRuns(ctx, store.RunStart{
		Kind: store.KindUserDaily, Job: store.JobUserDaily, Customers: []string{customer.ID}, TraceIDs: []string{telemetry.TraceParent(ctx)},
		UpdatedAfter: since, Day: dayBefore(now),
	})
	return err
}

// dayBefore returns the beginning of the day before. Days are UTC (docs/guides.md#daily-reconciliation).
func dayBefore(moment time.Time) time.Time {
	return moment.UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
}

// noteGaps records the users of a page that polls should have found and that the mapping does not have in this
// version. The mirror writes them in the same transaction, like all other users of the page. A user that changed
// after the checkpoint is not a gap: the next poll would have found it. Nor is a user with an open letter.
func noteGaps(ctx context.Context, tx *store.Tx, run store.Run, _ scan.Step, outcome mirror.Outcome) error {
	var gaps []store.Gap
	for _, user := range outcome.Unsynced {
		if !user.UpdatedAt.Before(run.CoveredUntil) {
			continue
		}
		reason := store.GapNotInMapping
		if user.Mapped {
			reason = store.GapStaleInMapping
		}
		gaps = append(gaps, store.Gap{VomoID: user.VomoID, Reason: reason, UpdatedAt: user.UpdatedAt})
	}
	return tx.NoteGaps(ctx, run.JobID, run.Customer, gaps)
}

const (
	// lateAfter is how old a gap's updated_at must be for the gap to count as late: polls reach back an hour or more.
	lateAfter = time.Hour
	// lateGaps is the number of late gaps within a week from which VOMO's timestamps are considered to lag.
	lateGaps = 3
)

// noteStampLag makes polls reach back further if VOMO's timestamps are so far behind its clock that polls miss
// changes. The newest late gap gives an upper bound of the lag; the first poll that finds a late change measures it.
func noteStampLag(ctx context.Context, tx *store.Tx, run store.Run) error {
	late, err := tx.LateGaps(ctx, run, lateAfter)
	if err != nil || late.Now == 0 || late.Recent < lateGaps {
		return err
	}
	return tx.RaiseStampLag(ctx, run.Customer, late.Lag)
}

// onDone records the result in the last page's transaction. It does not move the checkpoint, which belongs to the
// polls.
func onDone(ctx context.Context, tx *store.Tx, run store.Run, step scan.Step) error {
	gaps, err := tx.RecordReconciliation(ctx, run, step.Verified)
	if err != nil {
		return err
	}
	if err := noteStampLag(ctx, tx, run); err != nil {
		return err
	}
	if err := tx.NoteDailyCount(ctx, run.Customer); err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	message, err := event.Fact{
		Name: event.ReconciliationCompleted, Customer: run.Customer, At: now, TraceID: run.TraceID,
		ID: event.ReconciliationCompleted + "-" + strconv.FormatInt(run.JobID, 10),
		Data: &rollcallv1.ReconciliationCompleted{
			CustomerId: run.Customer, Type: run.Kind, Date: run.Day.Format(time.DateOnly), ExpectedCount: event.Count(run.Processed),
			GapCount: event.Count(gaps), FailureCount: event.Count(run.Failures), CompletedAt: timestamppb.New(now),
		},
	}.Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}
