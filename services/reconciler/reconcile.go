package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// reconciler works requests to reconcile.
type reconciler struct{ userDaily *job.Runner }

// errCategory is for what a later version may know.
var errCategory = errors.New("no reconciliation of that category is known to this version: user_daily is")

// handle reads a request and works the customer's reconciliation.
func (r *reconciler) handle(ctx context.Context, delivery *worker.Delivery) error {
	if bus.CategoryOf(delivery.Subject) != bus.CategoryUserDaily {
		return fault.Permanent("category_unknown", errCategory)
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
	return r.userDaily.Work(ctx, delivery, customer, request.GetRunId())
}

// userDailyKind is what is the daily reconciliation's own in the life of a run (docs/guides.md#daily-reconciliation).
func userDailyKind() job.Kind {
	return job.Kind{
		Name: store.KindUserDaily, Job: store.JobUserDaily, Start: startByHand, Message: job.UserDailyMessage, OnPage: noteGaps, OnDone: reconciled,
	}
}

// startByHand begins a reconciliation whatever the schedule says, from where the schedule would begin it.
func startByHand(ctx context.Context, tx *store.Tx, customer store.Customer) (store.RunRef, error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return store.RunRef{}, err
	}
	since, err := sinceFor(ctx, tx, customer.ID, now, now)
	if err != nil {
		return store.RunRef{}, err
	}
	refs, err := tx.StartSyncRuns(ctx, store.SyncStart{
		Kind: store.KindUserDaily, Job: store.JobUserDaily, Customers: []string{customer.ID}, TraceIDs: []string{event.NewTraceID()},
		UpdatedAfter: since, Day: dayBefore(now),
	})
	if err != nil || len(refs) == 0 {
		return store.RunRef{}, err
	}
	return refs[0], nil
}

// dayBefore returns the beginning of the day before. Days are UTC (docs/guides.md#daily-reconciliation).
func dayBefore(moment time.Time) time.Time {
	return moment.UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
}

// noteGaps notes those of a page whom polls had answered for and whom the mirror did not have in this version. The
// mirror brings them, like everybody else on the page, in the same transaction. Who changed since the checkpoint is no
// gap, only early: the next poll would have found them. Nor is whoever has a letter: that is known.
func noteGaps(ctx context.Context, tx *store.Tx, run store.SyncRun, _ scan.Step, outcome mirror.Outcome) error {
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
	// lateAfter is how far a gap's updated_at lies behind for it to be late: polls reach as far back as an hour and more.
	lateAfter = time.Hour
	// lateGaps is from how many late gaps within a week on VOMO's stamps are taken to lag.
	lateGaps = 3
)

// noteStampLag has polls reach back further if VOMO stamps changes so far behind its clock that polls miss them. The newest
// of the late gaps says by how much at most; the first poll that finds a late change measures it.
func noteStampLag(ctx context.Context, tx *store.Tx, run store.SyncRun) error {
	late, err := tx.LateGaps(ctx, run, lateAfter)
	if err != nil || late.Now == 0 || late.Recent < lateGaps {
		return err
	}
	return tx.RaiseStampLag(ctx, run.Customer, late.Lag)
}

// reconciled records the result in the last page's transaction. The checkpoint is the polls', and does not move.
func reconciled(ctx context.Context, tx *store.Tx, run store.SyncRun, step scan.Step) error {
	gaps, err := tx.RecordReconciliation(ctx, run, step.Verified)
	if err != nil {
		return err
	}
	if err := noteStampLag(ctx, tx, run); err != nil {
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
