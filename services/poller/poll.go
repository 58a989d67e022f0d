package main

import (
	"context"
	"fmt"
	"time"

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

// jobPoll is the name of a poll in job_log (docs/guides.md#names).
const jobPoll = store.JobPoll

// poller works poll requests.
type poller struct{ runner *job.Runner }

// handle reads a request and works the customer's poll.
func (p *poller) handle(ctx context.Context, delivery *worker.Delivery) error {
	request := &rollcallv1.PollRequest{}
	customer := bus.CustomerOf(delivery.Subject)
	errs := rollcallv1.Decode(delivery.Data, request)
	if len(errs) == 0 {
		errs = request.Validate(customer)
	}
	if len(errs) > 0 {
		return fault.Permanent("request_invalid", fmt.Errorf("read poll request: %w", errs))
	}
	return p.runner.Work(ctx, delivery, customer, request.GetRunId())
}

// pollKind is what is a poll's own in the life of a run.
func pollKind() job.Kind {
	return job.Kind{Name: store.KindPoll, Job: jobPoll, Start: startByHand, Message: job.PollMessage, OnPage: polling, OnDone: polled}
}

// startByHand begins a poll whatever the schedule says.
func startByHand(ctx context.Context, tx *store.Tx, customer store.Customer) (store.RunRef, error) {
	refs, err := tx.StartSyncRuns(ctx, store.SyncStart{
		Kind: store.KindPoll, Job: jobPoll, Customers: []string{customer.ID}, TraceIDs: []string{event.NewTraceID()},
	})
	if err != nil || len(refs) == 0 {
		return store.RunRef{}, err
	}
	return refs[0], nil
}

// lagGoneAfter is for how long no change may have come late before VOMO's stamps are taken for right again.
const lagGoneAfter = 24 * time.Hour

// polling notes that a poll of many pages goes on: it is not stalled, however long it takes. It also measures how far
// VOMO's stamps lag, by changes from before the checkpoint: only a poll that reaches back reads them.
func polling(ctx context.Context, tx *store.Tx, run store.SyncRun, step scan.Step, outcome mirror.Outcome) error {
	var lag time.Duration
	for _, user := range outcome.Unsynced {
		if user.UpdatedAt.Before(run.CoveredUntil) {
			lag = max(lag, outcome.Date.Sub(user.UpdatedAt))
		}
	}
	if lag > 0 {
		if err := tx.MeasureStampLag(ctx, run.Customer, lag); err != nil {
			return err
		}
	}
	if step.Done {
		return nil
	}
	return tx.MarkPollPage(ctx, run.Customer)
}

// polled moves the checkpoint and notes the heartbeat, in the last page's transaction.
func polled(ctx context.Context, tx *store.Tx, run store.SyncRun, _ scan.Step) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	if err := tx.AdvanceCheckpoint(ctx, run.Customer, store.ResourceUserSync, checkpointOf(run, now)); err != nil {
		return err
	}
	if run.Written > 0 {
		if err := tx.EndStampLag(ctx, run.Customer, lagGoneAfter); err != nil {
			return err
		}
	}
	return tx.MarkPolled(ctx, run.Customer, *run.ScanStartedAt)
}

// quietTail is how far behind the scan's start a checkpoint stays at most, where nobody changed any later.
const quietTail = time.Hour

// checkpointOf is from where the next poll goes on: no later than the scan's start by VOMO's own clock, since
// a user changed during the scan may stand on a page that was read before; and no later than the latest change seen by
// this poll or, where it saw none, by those before it, since VOMO's list may lag behind its clock. Both less an overlap.
// A list that lags by an hour is none that can be polled: without that bound, everybody who was imported in the last
// minute before an organisation fell silent would be read again by each poll, for ever. now is the database's clock: a
// Date that is ahead of it, as of a proxy whose clock is wrong, must not carry the checkpoint past changes that are yet
// to come.
func checkpointOf(run store.SyncRun, now time.Time) time.Time {
	start := *run.ScanStartedAt
	if now.Before(start) {
		start = now
	}
	latest := run.CoveredUntil.Add(scan.Overlap)
	if run.HighestSeen != nil {
		latest = *run.HighestSeen
	}
	if latest.After(start) {
		latest = start
	}
	if floor := start.Add(-quietTail); latest.Before(floor) {
		latest = floor
	}
	return latest.Add(-scan.Overlap)
}
