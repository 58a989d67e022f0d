package main

import (
	"context"
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
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	jobInitialBackfill = "initial_backfill" // its name in job_log (docs/guides.md#names)
	jobFullResync      = "full_resync"      // the same for a customer whose first backfill is complete
	operation          = "backfill"         // its name in sync_audit (docs/guides.md#names)
	pagesInFlight      = 2
)

// backfiller handles backfill requests.
type backfiller struct{ runner *job.Runner }

// handle validates a request and runs the customer's backfill.
func (b *backfiller) handle(ctx context.Context, delivery *worker.Delivery) error {
	request := &rollcallv1.BackfillRequest{}
	customer := bus.CustomerOf(delivery.Subject)
	errs := rollcallv1.Decode(delivery.Data, request)
	if len(errs) == 0 {
		errs = request.Validate(customer)
	}
	if len(errs) > 0 {
		return fault.Permanent("request_invalid", fmt.Errorf("read backfill request: %w", errs))
	}
	return b.runner.Work(ctx, delivery, customer, request.GetRunId())
}

// backfillKind returns what distinguishes a backfill from other kinds of runs: it is started by onboarding and by operators
// alone, works in the customer's window, and makes a letter of its request when it is given up.
func backfillKind(turn time.Duration, tries int) job.Kind {
	backfill := job.Scan{
		PagesInFlight: pagesInFlight, Operation: operation, Events: isFullResync, OnPage: onPage, OnDone: onDone,
	}
	return job.Kind{
		Name: store.KindBackfill, Job: backfillJob, Serves: store.Customer.Active, Window: windowOf, Turn: turn, Tries: tries,
		Message: job.BackfillMessage, Work: backfill.Work, OnGiveUp: onGiveUp, LetterOnGiveUp: true,
	}
}

// backfillJob returns the name in job_log of a job that reads all users of this customer.
func backfillJob(customer store.Customer) string {
	if isFullResync(customer) {
		return jobFullResync
	}
	return jobInitialBackfill
}

// isFullResync reports whether the customer's first backfill is complete. What a later one finds is published as events, as
// what a poll finds; the users of a first backfill are not.
func isFullResync(customer store.Customer) bool { return customer.BackfillCompletedAt != nil }

func windowOf(customer store.Customer) (window.Window, error) {
	return window.Of(customer.BackfillNotBefore, customer.QuietHours)
}

// onPage publishes with the first page that the backfill has started.
func onPage(ctx context.Context, tx *store.Tx, run store.Run, _ scan.Step, _ mirror.Outcome) error {
	if run.Pages > 0 {
		return nil
	}
	return publish(ctx, tx, run, event.BackfillStarted, func(now time.Time) *event.Fact {
		return &event.Fact{Data: &rollcallv1.BackfillStarted{CustomerId: run.Customer, RunId: run.ID, StartedAt: timestamppb.New(now)}}
	})
}

// onDone moves the checkpoint, from where polls continue, in the last page's transaction.
func onDone(ctx context.Context, tx *store.Tx, run store.Run, _ scan.Step) error {
	customer, err := tx.Customer(ctx, run.Customer)
	if err != nil {
		return err
	}
	if err := tx.MarkBackfilled(ctx, run.Customer, run.Processed); err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	if err := tx.AdvanceCheckpoint(ctx, run.Customer, store.ResourceUserSync, checkpointOf(run, now)); err != nil {
		return err
	}
	checkpoint, err := tx.Checkpoint(ctx, run.Customer, store.ResourceUserSync) // the one that was there may be later
	if err != nil {
		return err
	}
	return publish(ctx, tx, run, event.BackfillCompleted, func(now time.Time) *event.Fact {
		return &event.Fact{Data: &rollcallv1.BackfillCompleted{
			CustomerId: run.Customer, RunId: run.ID, ProcessedCount: event.Count(run.Processed), FailureCount: event.Count(run.Failures),
			Checkpoint: timestamppb.New(checkpoint), CompletedAt: timestamppb.New(now),
			RecoveredCount: event.Count(run.Recovered), Verified: run.Verified != nil && *run.Verified,
			FullResync: isFullResync(customer),
		}}
	})
}

// onGiveUp raises the alert of a backfill that was given up.
func onGiveUp(ctx context.Context, tx *store.Tx, run store.Run, cause error) error {
	alert := event.AlertFor(run.Customer, event.AlertBackfillFailed)
	alert.Text = event.WithDetail(alert.Text, run.Failure)
	if err := event.Raise(ctx, tx, alert); err != nil {
		return err
	}
	return publish(ctx, tx, run, event.BackfillFailed, func(now time.Time) *event.Fact {
		return &event.Fact{Data: &rollcallv1.BackfillFailed{
			CustomerId: run.Customer, RunId: run.ID, ErrorCode: fault.CodeOf(cause), FailedAt: timestamppb.New(now),
		}}
	})
}

// checkpointOf returns from where polls continue. It is not after the scan's start by VOMO's own clock, because a user that changed
// during the scan may be on a page that was read before; nor after now by the database's clock, however far ahead VOMO's is.
func checkpointOf(run store.Run, now time.Time) time.Time {
	checkpoint := *run.ScanStartedAt
	if now.Before(checkpoint) {
		checkpoint = now
	}
	if run.HighestSeen != nil && run.HighestSeen.Before(checkpoint) {
		checkpoint = *run.HighestSeen
	}
	return checkpoint.Add(-scan.Overlap)
}

// publish puts an event of this run into the outbox.
func publish(ctx context.Context, tx *store.Tx, run store.Run, name string, of func(now time.Time) *event.Fact) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	fact := of(now)
	fact.Name, fact.Customer, fact.At, fact.TraceID = name, run.Customer, now, run.TraceID
	fact.ID = name + "-" + strconv.FormatInt(run.ID, 10)
	message, err := fact.Message()
	if err != nil {
		return fmt.Errorf("publish %s: %w", name, err)
	}
	return tx.Publish(ctx, message)
}
