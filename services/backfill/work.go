package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
	"rollcall.dev/pkg/window"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Why a job stopped before its last page, with its cursor committed.
var (
	errTurnOver = errors.New("the turn is over")
	errWanted   = errors.New("another job wants the lane")
	errDraining = errors.New("the service stops")
)

// turn is one worker's turn at one run.
type turn struct {
	*backfiller
	customer store.Customer
	run      store.Run
	lease    *store.Lease
	log      *zap.Logger
	window   window.Window // set by openFor
	release  func()        // gives a probe's slot back
}

// work reads the customer's users until all of them were read, and commits each page. It returns nil when the
// scan is complete, errTurnOver, errWanted or errDraining when it stopped at a committed page, and whatever else
// stopped it otherwise.
func (j *turn) work(ctx context.Context, draining <-chan struct{}) error {
	open, err := j.openFor(ctx)
	if err != nil {
		return err
	}
	name := backfillJob(j.customer)
	source, err := j.connect.Source(ctx, j.customer, j.lease, name)
	if err != nil {
		return err
	}
	lane, err := j.connect.Lane(ctx, j.customer, j.lease, connector.Job{
		Name: name, ID: j.run.JobID, TraceID: j.run.TraceID, Operation: operation,
		// What a full resync finds is news, as what a poll finds; a first backfill's users are not.
		Events: name == jobFullResync,
	})
	if err != nil {
		return err
	}
	parkAlerts, err := job.ParksStand(ctx, j.store.Conn, j.customer.ID)
	if err != nil {
		return err
	}
	// What ends a turn lets the pages in flight be finished; only ctx ends them, too.
	turn, end := context.WithCancelCause(ctx)
	defer end(nil)
	timer := time.AfterFunc(open, func() { end(errTurnOver) })
	defer timer.Stop()
	go func() {
		select {
		case <-draining:
			end(errDraining)
		case <-turn.Done():
		}
	}()
	reading := &reading{
		turn: j, source: source, lane: lane, committed: time.Now(), end: end, parkAlerts: parkAlerts,
		options: job.OptionsAfter(j.run.ParkReason, j.run.Parks),
	}
	if j.run.Rewrite != nil {
		reading.options.RewriteBefore, reading.options.NewSystem, reading.options.AllowOlder = j.run.Rewrite.Before, j.run.Rewrite.NewSystem, true
	}
	if reading.options.ForbiddenRejectsRecord, err = job.ForbiddenIsRecords(ctx, j.store, source, lane, j.run.ParkReason, j.run.Parks); err != nil {
		return err
	}
	for !reading.done {
		if err := reading.read(ctx, turn); err != nil {
			return err
		}
		if turn.Err() != nil && !reading.done {
			return context.Cause(turn)
		}
	}
	return nil
}

// reading is a turn's way through the scan. What it holds changes when a page is committed: it is looked at by the
// page that is being committed, or while none is.
type reading struct {
	*turn
	source    *connector.Source
	lane      *mirror.Lane
	options   mirror.ApplyOptions
	committed time.Time // when the last page was committed
	end       context.CancelCauseFunc
	// parkAlerts says that alerts of parks are active, which a committed page clears.
	parkAlerts bool
	done       bool
}

// errElsewhere says that the page was committed, and that the scan does not go on with the pages behind it.
var errElsewhere = errors.New("the scan goes on elsewhere")

// read reads pages from the cursor on until the scan goes on elsewhere, is complete, or the turn ends. When it
// returns no page is under way.
func (r *reading) read(ctx, open context.Context) error {
	// Whatever ends this call also ends the read-ahead.
	scanning, cancel := context.WithCancel(ctx)
	defer cancel()
	options := scan.Options(r.run.Cursor)
	options.Ahead = max(options.Ahead-pagesUnderWay, 1)
	pages := r.source.Client.Scan(scanning, scan.Query(r.run.Cursor), options)
	unhook := context.AfterFunc(open, pages.Stop)
	defer unhook()
	line := &pipeline{
		write: func(ctx context.Context, page vomo.Page) (*mirror.WrittenPage, error) {
			return r.lane.Write(ctx, page, r.options)
		},
		commit: func(ctx context.Context, page vomo.Page, written *mirror.WrittenPage) error {
			step, err := r.commit(ctx, page, written)
			if err == nil && (step.CursorMoved || step.Done) {
				err = errElsewhere
			}
			return err
		},
	}
	err := r.bring(ctx, pages, line)
	if failed := line.wait(); failed != nil {
		err = failed // it stands before whatever became of the pages behind it
	}
	if errors.Is(err, errElsewhere) {
		return nil
	}
	return err
}

// bring brings pages to the destination, in order; the last ones may still be under way.
func (r *reading) bring(ctx context.Context, pages *vomo.Scan, line *pipeline) error {
	for page, err := range pages.Pages() {
		if err != nil {
			// Confirming takes seconds, and what was written need not wait for it.
			if failed := line.wait(); failed != nil {
				return failed
			}
			return r.connect.Confirm(ctx, r.customer, r.lease, backfillJob(r.customer), err)
		}
		if err := r.source.Answered(ctx); err != nil {
			return err
		}
		if err := line.next(ctx, page); err != nil {
			return err
		}
		switch {
		case r.lease.Wanted():
			r.end(errWanted)
		case r.closed(ctx):
			r.end(errTurnOver)
		default:
			continue
		}
		pages.Stop() // here: the hook has a goroutine of its own, and this page's slot would be another request's before it runs
	}
	return nil
}

// commit commits a page with the cursor, the progress and, when the scan is complete, the end of the run.
func (r *reading) commit(ctx context.Context, page vomo.Page, written *mirror.WrittenPage) (scan.Step, error) {
	var step scan.Step
	next := r.run
	now := time.Now()
	outcome, err := written.Commit(ctx, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) error {
		next = r.run
		var err error
		if step, err = scan.Next(ctx, tx, r.run.JobID, r.run.Cursor, page, outcome.Seen); err != nil {
			return err
		}
		advance := advanceOf(step, outcome, now.Sub(r.committed))
		if err := tx.AdvanceRun(ctx, r.run.ID, r.lease.Epoch, advance); err != nil {
			return err
		}
		follow(&next, advance)
		if r.parkAlerts {
			if err := job.ClearParks(ctx, tx, r.customer.ID, outcome.Written > 0); err != nil {
				return err
			}
		}
		if r.run.Pages == 0 {
			if err := r.tellStarted(ctx, tx); err != nil {
				return err
			}
		}
		if !step.Done {
			return nil
		}
		next.Verified = &step.Verified
		return r.complete(ctx, tx, next)
	})
	if err != nil {
		return scan.Step{}, err
	}
	r.run, r.committed, r.done = next, now, step.Done
	// What the run was parked for is over. A reading's first page goes alone: no other reads this meanwhile.
	if r.options.Probe || !r.options.PresumeOutage || r.options.ForbiddenRejectsRecord {
		r.options.Probe, r.options.ShortProbe, r.options.PresumeOutage, r.options.ForbiddenRejectsRecord = false, false, true, false
	}
	r.release()
	r.metrics.page(outcome)
	r.logPage(page, outcome, step)
	return step, nil
}

func (r *reading) logPage(page vomo.Page, outcome mirror.Outcome, step scan.Step) {
	r.log.Debug("page committed", zap.String("phase", string(r.run.Phase)), zap.Int("page", page.Number), zap.Int("written", outcome.Written),
		zap.Int("skipped", outcome.Skipped), zap.Int("failed", outcome.Failed), zap.Int64("processed", r.run.Processed))
	if !step.Done {
		return
	}
	r.log.Info("backfill completed", zap.Int64("processed", r.run.Processed), zap.Int64("written", r.run.Written),
		zap.Int64("failures", r.run.Failures), zap.Int64("recovered", r.run.Recovered), zap.Int64("pages", r.run.Pages))
	if !step.Verified {
		r.log.Warn("what was read does not agree with VOMO's counts", zap.Int("windows", r.run.Unsettled), zap.Int("page_total", page.Total))
	}
}

// advanceOf is what the page changes in its run. A user who was read before counts once.
func advanceOf(step scan.Step, outcome mirror.Outcome, active time.Duration) store.Advance {
	return store.Advance{
		Cursor: step.Cursor, ScanStartedAt: outcome.Date, HighestSeen: outcome.HighestSeen,
		Processed: step.NewUsers, Recovered: step.Recovered, Written: int64(outcome.Written), Failures: int64(outcome.Failed),
		Skipped: max(step.NewUsers-int64(outcome.Written)-int64(outcome.Failed), 0), Active: active,
	}
}

// follow does to the run in hand what AdvanceRun does to its row.
func follow(run *store.Run, advance store.Advance) {
	run.Cursor = advance.Cursor
	if run.ScanStartedAt == nil {
		run.ScanStartedAt = &advance.ScanStartedAt
	}
	if advance.HighestSeen != nil && (run.HighestSeen == nil || advance.HighestSeen.After(*run.HighestSeen)) {
		run.HighestSeen = advance.HighestSeen
	}
	run.Pages++
	run.Processed += advance.Processed
	run.Recovered += advance.Recovered
	run.Written += advance.Written
	run.Skipped += advance.Skipped
	run.Failures += advance.Failures
	run.ActiveSeconds += advance.Active.Seconds()
	run.Attempts, run.Parks, run.ParkReason = 0, 0, ""
}

// checkpointOf is from where polling goes on: no later than the scan's start by VOMO's own clock, since
// a user changed during the scan may stand on a page that was read before; nor than now, by the database's, however far
// ahead VOMO's is.
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

// complete ends the run in the last page's transaction.
func (j *turn) complete(ctx context.Context, tx *store.Tx, run store.Run) error {
	if err := tx.FinishRun(ctx, run, j.lease.Epoch, store.RunCompleted, ""); err != nil {
		return err
	}
	if err := tx.MarkBackfilled(ctx, j.customer.ID, run.Processed); err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	if err := tx.AdvanceCheckpoint(ctx, j.customer.ID, store.ResourceUserSync, checkpointOf(run, now)); err != nil {
		return err
	}
	checkpoint, err := tx.Checkpoint(ctx, j.customer.ID, store.ResourceUserSync) // a later one may have stood
	if err != nil {
		return err
	}
	return j.tell(ctx, tx, event.BackfillCompleted, func(now time.Time) *event.Fact {
		return &event.Fact{Data: &rollcallv1.BackfillCompleted{
			CustomerId: j.customer.ID, RunId: run.ID, ProcessedCount: event.Count(run.Processed), FailureCount: event.Count(run.Failures),
			Checkpoint: timestamppb.New(checkpoint), CompletedAt: timestamppb.New(now),
			RecoveredCount: event.Count(run.Recovered), Verified: run.Verified != nil && *run.Verified,
			FullResync: backfillJob(j.customer) == jobFullResync,
		}}
	})
}

func (j *turn) tellStarted(ctx context.Context, tx *store.Tx) error {
	return j.tell(ctx, tx, event.BackfillStarted, func(now time.Time) *event.Fact {
		return &event.Fact{Data: &rollcallv1.BackfillStarted{CustomerId: j.customer.ID, RunId: j.run.ID, StartedAt: timestamppb.New(now)}}
	})
}

// tell puts an event of this run into the outbox.
func (j *turn) tell(ctx context.Context, tx *store.Tx, name string, of func(now time.Time) *event.Fact) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	fact := of(now)
	fact.Name, fact.Customer, fact.At, fact.TraceID = name, j.customer.ID, now, j.run.TraceID
	fact.ID = name + "-" + strconv.FormatInt(j.run.ID, 10)
	message, err := fact.Message()
	if err != nil {
		return fmt.Errorf("tell %s: %w", name, err)
	}
	return tx.Publish(ctx, message)
}
