package job

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// Scan is the work of a run that reads a customer's users at VOMO and gives each page to the mirror: Kind.Work is Scan.Work.
type Scan struct {
	PagesInFlight int    // how many pages are written or committed at the same time, or as one; 0: one. If above one, as many are compared meanwhile
	Operation     string // the operation in sync_audit; "": create or update, by the mapping
	// Events reports whether the customer's users that are found are published as events; nil: always.
	Events func(customer store.Customer) bool
	// OnPage adds to each page's transaction, run being as it was before the page; nil: nothing.
	OnPage func(ctx context.Context, tx *store.Tx, run store.Run, step scan.Step, outcome mirror.Outcome) error
	// Next returns the phase in which the run goes on after the scan, "" if it ends with the scan; nil: it ends.
	Next func(run store.Run, step scan.Step) store.ScanPhase
	// OnDone adds to the last page's transaction, after the run has ended.
	OnDone func(ctx context.Context, tx *store.Tx, run store.Run, step scan.Step) error
}

// reader is an execution's way through the scan. What it holds changes when a page is committed; it is read by the page that is
// being committed, or while none is.
type reader struct {
	*Execution
	Scan

	sides     *Sides
	committed time.Time // when the last page was committed
	done      bool
}

// errElsewhere means that the page was committed, and that the scan does not continue with the pages behind it.
var errElsewhere = errors.New("the scan continues elsewhere")

// Work reads the users from the cursor on until all of them were read, and commits each page.
func (s Scan) Work(ctx context.Context, e *Execution) error {
	sides, err := e.OpenSides(ctx, s.Operation, s.Events == nil || s.Events(e.Customer))
	if err != nil {
		return err
	}
	r := &reader{Execution: e, Scan: s, sides: sides, committed: time.Now()}
	for !r.done {
		if err := r.read(ctx); err != nil {
			return err
		}
		// Also here, and not only between pages: while windows are counted, each page moves the scan elsewhere.
		if over := e.TurnOver(ctx); over != nil && !r.done {
			return over
		}
	}
	return nil
}

// read reads pages from the cursor on until the scan continues elsewhere, is complete, or the turn is over. When it returns, no
// page is in flight.
func (r *reader) read(ctx context.Context) error {
	// Whatever ends this call also ends the read-ahead.
	scanning, cancel := context.WithCancel(ctx)
	defer cancel()
	query := scan.Query(r.Run.Cursor)
	query.UpdatedAfter = r.Run.UpdatedAfter
	options := scan.Options(r.Run.Cursor)
	scanned := r.Run.JobID // here: a page is compared while the run of an earlier one is noted
	pipeline := &Pipeline{
		AtOnce: max(r.PagesInFlight, 1), Together: r.together(),
		Compare: func(ctx context.Context, pages []vomo.Page) (*mirror.ComparedPage, error) {
			done := r.Slots.Busy()
			defer done()
			options := r.sides.Options
			options.Scan = scanned
			return r.sides.Lane.Compare(ctx, pages, options)
		},
		Write: func(ctx context.Context, page *mirror.ComparedPage) (*mirror.WrittenPage, error) {
			return page.Write(ctx)
		},
		Commit: func(ctx context.Context, pages []vomo.Page, written *mirror.WrittenPage, sent func()) error {
			done := r.Slots.Busy()
			defer done()
			step, err := r.commit(ctx, pages, written, sent)
			if err == nil && (step.CursorMoved || step.Done) {
				err = errElsewhere
			}
			return err
		},
	}
	if r.PagesInFlight > 1 {
		options.Ahead = max(options.Ahead-pipeline.most(), 1)
	}
	pages := r.sides.Source.Client.Scan(scanning, query, options)
	unhook := r.AfterTurn(pages.Stop)
	defer unhook()
	err := r.feed(ctx, pages, pipeline)
	if failed := pipeline.Wait(); failed != nil {
		err = failed // it comes before whatever became of the pages behind it
	}
	if errors.Is(err, errElsewhere) {
		return nil
	}
	return err
}

// together is how many pages may be written and committed as one: those of the list, while it is read ahead. In a window each page may
// move the scan elsewhere.
func (r *reader) together() int {
	if r.Run.Cursor.Phase == store.PhaseWindows {
		return 1
	}
	return max(r.PagesInFlight, 1)
}

// feed gives pages to the pipeline, in order; the last ones may still be in flight when it returns.
func (r *reader) feed(ctx context.Context, pages *vomo.Scan, pipeline *Pipeline) error {
	for page, err := range pages.Pages() {
		if err != nil {
			// Confirming takes seconds, and what was written need not wait for it.
			if failed := pipeline.Wait(); failed != nil {
				return failed
			}
			return r.Connect.Confirm(ctx, r.Customer, r.Lease, r.Kind.Job(r.Customer), err)
		}
		if err := r.sides.Source.Answered(ctx); err != nil {
			return err
		}
		if err := pipeline.Next(ctx, page); err != nil {
			return err
		}
		if r.TurnOver(ctx) != nil {
			pages.Stop() // here: the hook has a goroutine of its own, and another request would have this page's slot before it runs
		}
	}
	return nil
}

// commit commits written pages with the cursor, the progress and, when the scan is complete, the end of the run.
func (r *reader) commit(ctx context.Context, pages []vomo.Page, written *mirror.WrittenPage, sent func()) (scan.Step, error) {
	var step scan.Step
	var next store.Run
	goesOn := false // after the scan, in another phase
	now := time.Now()
	outcome, err := written.Commit(ctx, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) error {
		tx.WhenCommitSent(sent)
		var err error
		if step, err = scan.Next(ctx, tx, r.Run.JobID, r.Run.Cursor, readOf(pages, outcome.Seen)...); err != nil {
			return err
		}
		if phase := r.phaseAfter(step); phase != "" {
			goesOn, step.Cursor = true, store.Cursor{Phase: phase}
		}
		advance := advanceOf(step, outcome, now.Sub(r.committed))
		advance.Pages = len(pages)
		if step.Done && !goesOn && r.Kind.Name != store.KindBackfill { // its row is deleted below, under the same condition
			next = r.Run
			apply(&next, advance)
		} else if next, err = r.Advance(ctx, tx, advance); err != nil {
			return err
		}
		if err := r.sides.ClearParks(ctx, tx, outcome.Written > 0); err != nil {
			return err
		}
		if r.OnPage != nil {
			if err := r.OnPage(ctx, tx, r.Run, step, outcome); err != nil {
				return err
			}
		}
		if !step.Done {
			return nil
		}
		next.Verified = &step.Verified
		if !goesOn {
			if err := tx.FinishRun(ctx, next, r.Lease.Epoch, store.RunCompleted, ""); err != nil {
				return err
			}
		}
		return r.OnDone(ctx, tx, next, step)
	})
	if err != nil {
		return scan.Step{}, err
	}
	r.committed, r.done = now, step.Done
	r.sides.PageCommitted() // the first page of a read goes alone: no other page reads the options meanwhile
	r.Committed(next)
	r.Metrics.committed(r.Customer.ID, r.Kind.Name, len(pages), outcome)
	r.logPages(pages, outcome, step, goesOn)
	if step.Done && !goesOn {
		r.Ended()
	}
	return step, nil
}

// readOf returns the pages with their users.
func readOf(pages []vomo.Page, seen []mirror.SeenPage) []scan.Read {
	read := make([]scan.Read, len(pages))
	for i, page := range pages {
		read[i] = scan.Read{Page: page, Users: seen[i].Users, New: seen[i].New}
	}
	return read
}

// phaseAfter returns the phase in which the run goes on after the scan, "" if the scan is not complete or the run ends with it.
func (r *reader) phaseAfter(step scan.Step) store.ScanPhase {
	if !step.Done || r.Next == nil {
		return ""
	}
	return r.Next(r.Run, step)
}

func (r *reader) logPages(pages []vomo.Page, outcome mirror.Outcome, step scan.Step, goesOn bool) {
	last := pages[len(pages)-1]
	r.Log.Debug("page committed", zap.String("phase", string(r.Run.Phase)), zap.Int("page", last.Number), zap.Int("pages", len(pages)),
		zap.Int("written", outcome.Written), zap.Int("skipped", outcome.Skipped), zap.Int("failed", outcome.Failed), zap.Int64("processed", r.Run.Processed))
	if !step.Done {
		return
	}
	level := r.level()
	if r.Run.Written > 0 || r.Run.Failures > 0 {
		level = zap.InfoLevel
	}
	text := "run completed"
	if goesOn {
		text = "users read"
	}
	r.Log.Log(level, text, zap.Int64("processed", r.Run.Processed), zap.Int64("written", r.Run.Written),
		zap.Int64("failures", r.Run.Failures), zap.Int64("recovered", r.Run.Recovered), zap.Int64("pages", r.Run.Pages),
		zap.Bool("verified", step.Verified))
	if !step.Verified && !r.Kind.Routine {
		r.Log.Warn("what was read does not agree with VOMO's counts", zap.Int("windows", r.Run.Unsettled), zap.Int("page_total", last.Total))
	}
}

// advanceOf returns what the page changes in its run. A user that was read before counts once.
func advanceOf(step scan.Step, outcome mirror.Outcome, active time.Duration) store.Advance {
	return store.Advance{
		Cursor: step.Cursor, ScanStartedAt: outcome.Date, HighestSeen: outcome.HighestSeen,
		Processed: step.NewUsers, Recovered: step.Recovered, Written: int64(outcome.Written), Failures: int64(outcome.Failed),
		Skipped: max(step.NewUsers-int64(outcome.Written)-int64(outcome.Failed), 0), Active: active,
	}
}

// apply changes the run in memory as AdvanceRun changes its row.
func apply(run *store.Run, advance store.Advance) {
	run.Cursor = advance.Cursor
	if run.ScanStartedAt == nil {
		run.ScanStartedAt = &advance.ScanStartedAt
	}
	if advance.HighestSeen != nil && (run.HighestSeen == nil || advance.HighestSeen.After(*run.HighestSeen)) {
		run.HighestSeen = advance.HighestSeen
	}
	run.Pages += int64(max(advance.Pages, 1))
	run.Processed += advance.Processed
	run.Recovered += advance.Recovered
	run.Written += advance.Written
	run.Skipped += advance.Skipped
	run.Failures += advance.Failures
	run.ActiveSeconds += advance.Active.Seconds()
	run.Attempts, run.Parks, run.ParkReason = 0, 0, ""
}
