package job

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// lenientParks is for how many parks in a row a short page without a success is the destination's fault.
const lenientParks = 5

// Why a turn ended before its last page, with its cursor committed.
var (
	errTurnOver = errors.New("the turn is over")
	errWanted   = errors.New("another job wants the lane")
	errDraining = errors.New("the service stops")
)

// turn is one worker's turn at one run.
type turn struct {
	*Runner

	customer store.Customer
	run      store.SyncRun
	lease    *store.Lease
	log      *zap.Logger

	source  *connector.Source
	lane    *mirror.Lane
	options mirror.ApplyOptions
	told    bool // people were told of something that may be over now
	done    bool
	release func() // gives a probe's slot back
}

// work reads who changed until all of them were read, and commits each page. It returns nil when the run is complete,
// errTurnOver, errWanted or errDraining when it stopped at a committed page, and whatever else stopped it otherwise.
func (t *turn) work(ctx context.Context, draining <-chan struct{}) error {
	var err error
	if t.source, err = t.Connect.Source(ctx, t.customer, t.lease, t.Kind.Job); err != nil {
		return err
	}
	t.lane, err = t.Connect.Lane(ctx, t.customer, t.lease, connector.Job{Name: t.Kind.Job, ID: t.run.JobID, TraceID: t.run.TraceID, Events: true})
	if err != nil {
		return err
	}
	if t.told, err = ParksStand(ctx, t.Store.Conn, t.customer.ID); err != nil {
		return err
	}
	owed, err := t.Store.RewriteOwed(ctx, t.customer.ID)
	if err != nil {
		return err
	}
	t.options = OptionsAfter(t.run.ParkReason, t.run.Parks)
	t.options.NewSystem = owed != nil && owed.NewSystem // ids that the system before gave are of no use
	if t.options.ForbiddenRejectsRecord, err = ForbiddenIsRecords(ctx, t.Store, t.source, t.lane, t.run.ParkReason, t.run.Parks); err != nil {
		return err
	}
	// What ends a turn lets the page in hand be finished; only ctx ends it, too.
	turn, end := context.WithCancelCause(ctx)
	defer end(nil)
	timer := time.AfterFunc(cmp.Or(t.Turn, defaultTurn), func() { end(errTurnOver) })
	defer timer.Stop()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-draining:
			end(errDraining)
		case <-stop:
		}
	}()
	for !t.done {
		if err := t.read(ctx, turn, end); err != nil {
			return err
		}
		if turn.Err() != nil && !t.done {
			return context.Cause(turn)
		}
	}
	return nil
}

// read reads pages from the cursor on until the scan goes on elsewhere, is complete, or the turn ends.
func (t *turn) read(ctx, turn context.Context, end context.CancelCauseFunc) error {
	// Whatever ends this call also ends the read-ahead.
	scanning, cancel := context.WithCancel(ctx)
	defer cancel()
	query := scan.Query(t.run.Cursor)
	query.UpdatedAfter = t.run.UpdatedAfter
	pages := t.source.Client.Scan(scanning, query, scan.Options(t.run.Cursor))
	unhook := context.AfterFunc(turn, pages.Stop)
	defer unhook()
	for page, err := range pages.Pages() {
		if err != nil {
			return t.Connect.Confirm(ctx, t.customer, t.lease, t.Kind.Job, err)
		}
		if err := t.source.Answered(ctx); err != nil {
			return err
		}
		step, err := t.commit(ctx, page)
		if err != nil {
			return err
		}
		// Before the scan goes on elsewhere: while windows are counted, each page moves it.
		if t.lease.Wanted() {
			end(errWanted)
			pages.Stop() // here: the hook has a goroutine of its own, and this page's slot would be another request's before it runs
		}
		if step.CursorMoved || step.Done {
			return nil
		}
	}
	return nil
}

// commit brings a page to the destination and commits it with the cursor and, when the scan is complete, the end of
// the run.
func (t *turn) commit(ctx context.Context, page vomo.Page) (scan.Step, error) {
	var step scan.Step
	next := t.run
	outcome, err := t.lane.Apply(ctx, page, t.options, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) error {
		next = t.run
		var err error
		if step, err = scan.Next(ctx, tx, t.run.JobID, t.run.Cursor, page, outcome.Seen); err != nil {
			return err
		}
		follow(&next, step, outcome)
		advance := store.Advance{
			Cursor: step.Cursor, ScanStartedAt: outcome.Date, HighestSeen: outcome.HighestSeen,
			Processed: step.NewUsers, Written: int64(outcome.Written), Failures: int64(outcome.Failed),
		}
		if err := tx.AdvanceSyncRun(ctx, t.run.ID, t.lease.Epoch, advance); err != nil {
			return err
		}
		if t.told {
			if err := ClearParks(ctx, tx, t.customer.ID, outcome.Written > 0); err != nil {
				return err
			}
		}
		if t.Kind.OnPage != nil {
			if err := t.Kind.OnPage(ctx, tx, t.run, step, outcome); err != nil {
				return err
			}
		}
		if !step.Done {
			return nil
		}
		if err := tx.EndSyncRun(ctx, next, t.lease.Epoch, ""); err != nil {
			return err
		}
		return t.Kind.OnDone(ctx, tx, next, step)
	})
	if err != nil {
		return scan.Step{}, err
	}
	t.run, t.done = next, step.Done
	// The cause of the park is over.
	t.options.Probe, t.options.ShortProbe, t.options.PresumeOutage, t.options.ForbiddenRejectsRecord = false, false, true, false
	t.release()
	t.Metrics.page(t.Kind.Name, outcome)
	t.logPage(page, outcome, step)
	return step, nil
}

func (t *turn) logPage(page vomo.Page, outcome mirror.Outcome, step scan.Step) {
	t.log.Debug("page committed", zap.Int("page", page.Number), zap.Int("written", outcome.Written), zap.Int("skipped", outcome.Skipped),
		zap.Int("failed", outcome.Failed))
	if !step.Done {
		return
	}
	t.Metrics.ended(t.Kind.Name, "success")
	level := zap.DebugLevel // thousands of customers in whose organisations nothing happens
	if t.run.Written > 0 || t.run.Failures > 0 {
		level = zap.InfoLevel
	}
	t.log.Log(level, "run completed", zap.Int64("processed", t.run.Processed), zap.Int64("written", t.run.Written),
		zap.Int64("failures", t.run.Failures), zap.Int64("pages", t.run.Pages), zap.Bool("verified", step.Verified))
}

// follow does to the run in hand what AdvanceSyncRun does to its row.
func follow(run *store.SyncRun, step scan.Step, outcome mirror.Outcome) {
	run.Cursor = step.Cursor
	if run.ScanStartedAt == nil {
		run.ScanStartedAt = &outcome.Date
	}
	if outcome.HighestSeen != nil && (run.HighestSeen == nil || outcome.HighestSeen.After(*run.HighestSeen)) {
		run.HighestSeen = outcome.HighestSeen
	}
	run.Pages++
	run.Processed += step.NewUsers
	run.Written += int64(outcome.Written)
	run.Failures += int64(outcome.Failed)
	run.Attempts, run.Parks, run.ParkReason = 0, 0, ""
}
