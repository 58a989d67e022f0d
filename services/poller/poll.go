package main

import (
	"context"
	"fmt"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// jobPoll is the name of a poll in job_log (docs/guides.md#names).
const jobPoll = store.JobPoll

// poller handles poll requests.
type poller struct{ runner *job.Runner }

// handle validates a request and runs the customer's poll.
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

// pollKind returns what distinguishes a poll from other kinds of runs.
func pollKind() job.Kind {
	poll := job.Scan{OnPage: onPage, OnDone: onDone}
	return job.Kind{
		Name: store.KindPoll, Job: job.Always(jobPoll), Serves: store.Customer.Steady, Routine: true, AsksFirst: true, Start: startByHand,
		Message: job.PollMessage, Work: poll.Work, Patience: patienceFor,
	}
}

// refreshPatience is more than a refresh of participations needs to let go of the lane.
const refreshPatience = time.Second

// patienceFor returns how long a poll waits for the lane. A refresh of participations often has it, and lets go after the request
// in hand: without the wait, it would delay each of these polls by more than its request.
func patienceFor(customer store.Customer) time.Duration {
	if customer.Participations {
		return refreshPatience
	}
	return 0
}

// startByHand starts a poll regardless of the schedule.
func startByHand(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	_, err := tx.StartRuns(ctx, store.RunStart{
		Kind: store.KindPoll, Job: jobPoll, Customers: []string{customer.ID}, TraceIDs: []string{telemetry.TraceParent(ctx)},
	})
	return err
}

// lagGoneAfter is how long no change may have come late before VOMO's timestamps are trusted again.
const lagGoneAfter = 24 * time.Hour

// onPage records that a poll of many pages makes progress, so that it does not count as stalled. It also measures
// how far VOMO's timestamps lag, by changes from before the checkpoint: only a poll that reaches further back reads
// them.
func onPage(ctx context.Context, tx *store.Tx, run store.Run, step scan.Step, outcome mirror.Outcome) error {
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

// onDone advances the checkpoint and records the heartbeat, in the last page's transaction. If the poll's only page was its last, that
// transaction also frees the lane: no page was read ahead, and each write of this one has ended.
func onDone(ctx context.Context, tx *store.Tx, run store.Run, _ scan.Step) error {
	// The claim's time is one of the database's clock, and saves to ask for it.
	if err := tx.AdvanceCheckpoint(ctx, run.Customer, store.ResourceUserSync, checkpointOf(run, run.UpdatedAt)); err != nil {
		return err
	}
	if run.Written > 0 {
		if err := tx.EndStampLag(ctx, run.Customer, lagGoneAfter); err != nil {
			return err
		}
	}
	if err := tx.MarkPolled(ctx, run.Customer, *run.ScanStartedAt); err != nil || run.Pages > 1 {
		return err
	}
	return tx.ReleaseLane(ctx)
}

// quietTail is the most that a checkpoint stays behind the scan's start if no user changed later.
const quietTail = time.Hour

// checkpointOf returns where the next poll starts. It is not after the scan's start by VOMO's clock, because a user
// that changed during the scan may be on a page that was already read. It is not after the latest change that this
// poll saw (or, if it saw none, earlier polls), because VOMO's list may lag behind its clock. An overlap is
// subtracted from both.
//
// The checkpoint is at most quietTail behind the scan's start. Without that limit, users imported in the last minute
// before an organisation became quiet would be read again by every poll; a list that lags by more than an hour cannot
// be polled anyway. now is a time of the database's clock that has passed: if VOMO's Date is ahead of it, for example because of a proxy with a
// wrong clock, the checkpoint must not skip changes that are still to come.
func checkpointOf(run store.Run, now time.Time) time.Time {
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
