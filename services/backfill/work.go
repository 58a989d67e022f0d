package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	// At most four pages are read and not committed.
	readAhead = 4 - pagesUnderWay
	// overlap is what a checkpoint stays behind (trap 2): VOMO's clock and its index need not agree.
	overlap = 2 * time.Minute
	// lenientParks is for how many parks in a row a short page without a success is the destination's fault.
	lenientParks = 5
)

// Why a job stopped before its last page, with its cursor committed.
var (
	errTurnOver = errors.New("the turn is over")
	errWanted   = errors.New("another job wants the lane")
	errDraining = errors.New("the service stops")
)

// job is one worker's turn at one run.
type job struct {
	*backfiller
	customer store.Customer
	run      store.Run
	lease    *store.Lease
	log      *zap.Logger
}

// work reads page after page and commits each. It returns nil when the last one is committed, errTurnOver,
// errWanted or errDraining when it stopped at a committed page, and whatever else stopped it otherwise.
func (j *job) work(ctx context.Context, draining <-chan struct{}) error {
	source, err := j.connect.source(ctx, j.customer, j.lease)
	if err != nil {
		return err
	}
	lane, err := j.connect.lane(ctx, j.customer, j.run, j.lease)
	if err != nil {
		return err
	}
	// Whatever ends this turn also ends the read-ahead.
	scanning, cancel := context.WithCancel(ctx)
	defer cancel()
	scan := source.client.Scan(scanning, vomo.Query{}, vomo.ScanOptions{From: j.run.NextPage, Ahead: readAhead})
	turn := time.AfterFunc(j.turn, scan.Stop)
	defer turn.Stop()
	go func() {
		select {
		case <-draining:
			scan.Stop()
		case <-scanning.Done():
		}
	}()
	pages := j.pages(lane)
	err = j.bring(ctx, source, scan, pages)
	if failed := pages.wait(); failed != nil {
		return failed // it stands before whatever became of the pages behind it
	}
	if err != nil {
		return err
	}
	return j.whyStopped(scan, draining)
}

// bring brings the pages of a scan to the destination, in order; the last one may still be being committed.
func (j *job) bring(ctx context.Context, source *source, scan *vomo.Scan, pages *pipeline) error {
	for page, err := range scan.Pages() {
		if err != nil {
			// Confirming takes seconds, and what was written need not wait for it.
			if failed := pages.wait(); failed != nil {
				return failed
			}
			return j.confirm(ctx, source, err)
		}
		if err := source.account.Answered(ctx); err != nil {
			return err
		}
		if err := pages.next(ctx, page); err != nil {
			return err
		}
		if j.lease.Wanted() {
			scan.Stop()
		}
	}
	return nil
}

func (j *job) whyStopped(scan *vomo.Scan, draining <-chan struct{}) error {
	if !scan.Stopped() {
		return nil
	}
	select {
	case <-draining:
		return errDraining
	default:
	}
	if j.lease.Wanted() {
		return errWanted
	}
	return errTurnOver
}

// pages writes pages to the destination and commits each, while others are being written.
func (j *job) pages(lane *mirror.Lane) *pipeline {
	options := mirror.ApplyOptions{Probe: j.run.ParkReason != "" && j.run.Parks > 0, Lenient: j.run.Parks < lenientParks}
	committed := time.Now()
	return &pipeline{
		write: func(ctx context.Context, page vomo.Page) (*mirror.Brought, error) {
			return lane.Write(ctx, page, options)
		},
		commit: func(ctx context.Context, page vomo.Page, brought *mirror.Brought) error {
			if err := j.commit(ctx, page, brought, &committed); err != nil {
				return err
			}
			// What the run was parked for is over. This is the first page's alone to write: others go side by side.
			if options.Probe || !options.Lenient {
				options = mirror.ApplyOptions{Lenient: true}
			}
			return nil
		},
	}
}

// commit commits a page with the cursor, the progress and, on the last page, the end of the run.
func (j *job) commit(ctx context.Context, page vomo.Page, brought *mirror.Brought, committed *time.Time) error {
	next := j.run
	now := time.Now()
	outcome, err := brought.Commit(ctx, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) error {
		next = j.run
		advance := advanceOf(j.run, page, outcome, now.Sub(*committed))
		if err := tx.AdvanceRun(ctx, j.run.ID, j.lease.Epoch, advance); err != nil {
			return err
		}
		follow(&next, advance)
		if j.run.ParkReason != "" {
			if err := clearConditions(ctx, tx, j.customer.ID); err != nil {
				return err
			}
		}
		if j.run.Pages == 0 {
			if err := j.tellStarted(ctx, tx); err != nil {
				return err
			}
		}
		if page.More {
			return nil
		}
		return j.complete(ctx, tx, next)
	})
	if err != nil {
		return err
	}
	j.run = next
	*committed = now
	j.metrics.page(outcome)
	j.log.Debug("page committed", zap.Int("page", page.Number), zap.Int("written", outcome.Written),
		zap.Int("skipped", outcome.Skipped), zap.Int("failed", outcome.Failed), zap.Int64("processed", j.run.Processed))
	if !page.More {
		j.log.Info("backfill completed", zap.Int64("processed", j.run.Processed), zap.Int64("written", j.run.Written),
			zap.Int64("failures", j.run.Failures), zap.Int64("pages", j.run.Pages))
	}
	return nil
}

func advanceOf(run store.Run, page vomo.Page, outcome mirror.Outcome, active time.Duration) store.Advance {
	advance := store.Advance{
		NextPage: page.Number + 1, ScanStartedAt: page.Date, HighestSeen: outcome.HighestSeen,
		Processed: int64(outcome.Processed), Written: int64(outcome.Written), Skipped: int64(outcome.Skipped),
		Failures: int64(outcome.Failed), Active: active, LastTotal: run.LastTotal,
	}
	if page.Total >= 0 {
		total := int64(page.Total)
		advance.LastTotal = &total
	}
	return advance
}

// follow does to the run in hand what AdvanceRun does to its row.
func follow(run *store.Run, advance store.Advance) {
	run.NextPage = advance.NextPage
	if run.ScanStartedAt == nil {
		run.ScanStartedAt = &advance.ScanStartedAt
	}
	if advance.HighestSeen != nil && (run.HighestSeen == nil || advance.HighestSeen.After(*run.HighestSeen)) {
		run.HighestSeen = advance.HighestSeen
	}
	run.LastTotal = advance.LastTotal
	run.Pages++
	run.Processed += advance.Processed
	run.Written += advance.Written
	run.Skipped += advance.Skipped
	run.Failures += advance.Failures
	run.ActiveSeconds += advance.Active.Seconds()
	run.Attempts, run.Parks, run.ParkReason = 0, 0, ""
}

// checkpointOf is from where polling goes on (trap 2): no later than the scan's start by VOMO's own clock, since
// a user changed during the scan may stand on a page that was read before.
func checkpointOf(run store.Run) time.Time {
	checkpoint := *run.ScanStartedAt
	if run.HighestSeen != nil && run.HighestSeen.Before(checkpoint) {
		checkpoint = *run.HighestSeen
	}
	return checkpoint.Add(-overlap)
}

// complete ends the run in the last page's transaction.
func (j *job) complete(ctx context.Context, tx *store.Tx, run store.Run) error {
	if err := tx.FinishRun(ctx, run, j.lease.Epoch, store.RunCompleted, ""); err != nil {
		return err
	}
	if err := tx.MarkBackfilled(ctx, j.customer.ID, run.Processed); err != nil {
		return err
	}
	checkpoint := checkpointOf(run)
	if err := tx.AdvanceCheckpoint(ctx, j.customer.ID, store.ResourceUserSync, checkpoint); err != nil {
		return err
	}
	return j.tell(ctx, tx, event.BackfillCompleted, func(now time.Time) *event.Fact {
		return &event.Fact{Data: &rollcallv1.BackfillCompleted{
			CustomerId: j.customer.ID, RunId: run.ID, ProcessedCount: event.Count(run.Processed), FailureCount: event.Count(run.Failures),
			Checkpoint: timestamppb.New(checkpoint), CompletedAt: timestamppb.New(now),
		}}
	})
}

func (j *job) tellStarted(ctx context.Context, tx *store.Tx) error {
	return j.tell(ctx, tx, event.BackfillStarted, func(now time.Time) *event.Fact {
		return &event.Fact{Data: &rollcallv1.BackfillStarted{CustomerId: j.customer.ID, RunId: j.run.ID, StartedAt: timestamppb.New(now)}}
	})
}

// tell puts an event of this run into the outbox.
func (j *job) tell(ctx context.Context, tx *store.Tx, name string, of func(now time.Time) *event.Fact) error {
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
