package deletion

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/lookup"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/window"
)

// purposeCandidate is the purpose for which what identifies a candidate is sealed.
const purposeCandidate = "deletion_candidate"

// Searcher works the runs that search for deleted users.
type Searcher struct {
	Vault *vault.Vault
	Guard Guard
}

// Kind returns what distinguishes these runs from other kinds. They keep out of the customer's quiet hours.
func (s *Searcher) Kind() job.Kind {
	return job.Kind{
		Name: store.KindUserDeletions, Job: job.Always(store.JobUserDeletions), Serves: store.Customer.Steady, Window: windowOf,
		Start: startByHand, Message: job.ReconcileMessage, Work: s.work, OnGiveUp: onGiveUp,
	}
}

func windowOf(customer store.Customer) (window.Window, error) {
	return window.Of(nil, customer.QuietHours)
}

// execution is one worker's execution of a run after the scan.
type execution struct {
	*job.Execution

	searcher *Searcher
	run      store.DeletionRun // as of the last committed page; undo runs have none
	sides    *job.Sides
	users    *lookup.Reader
	// trusted means that VOMO found a user by id that it shows in its list, so that its 404 for another says something; or that there
	// is no such user to try.
	trusted bool
	// onlyDeletionsFail means that the destination accepts records, and its failures are about deletions.
	onlyDeletionsFail bool

	ended bool
}

// errOtherHeld means that the customer has another run, which waits for an operator.
var errOtherHeld = errors.New("another deletion scan of the customer is held")

// work does the run's work from its cursor on.
func (s *Searcher) work(ctx context.Context, e *job.Execution) error {
	x := &execution{Execution: e, searcher: s}
	if e.Run.Phase != store.PhaseUndo {
		if goesOn, err := x.search(ctx); err != nil || !goesOn {
			return err
		}
	}
	if err := x.open(ctx); err != nil {
		return err
	}
	for {
		if err := x.step(ctx); err != nil || x.ended {
			return err
		}
		if over := e.TurnOver(ctx); over != nil {
			return over
		}
	}
}

// search begins or continues the run's scan; goesOn reports whether it is complete and other phases follow.
func (x *execution) search(ctx context.Context) (goesOn bool, err error) {
	err = x.begin(ctx)
	if errors.Is(err, errOtherHeld) {
		return false, x.endUnstarted(ctx)
	}
	if err != nil || !isScan(x.Run.Phase) {
		return err == nil, err
	}
	if err := x.scan().Work(ctx, x.Execution); err != nil || isScan(x.Run.Phase) { // the run ended with its scan
		return false, err
	}
	over := x.TurnOver(ctx)
	return over == nil, over
}

// step works one page of the phase.
func (x *execution) step(ctx context.Context) error {
	switch x.Run.Phase {
	case store.PhaseCompare:
		return x.compare(ctx)
	case store.PhaseAsk:
		return x.ask(ctx)
	case store.PhaseDelete:
		return x.delete(ctx)
	case store.PhaseUndo:
		return x.undo(ctx)
	case store.PhasePages, store.PhaseWindows:
	}
	return fmt.Errorf("a deletion run has no phase %q", x.Run.Phase)
}

func isScan(phase store.ScanPhase) bool {
	return phase == "" || phase == store.PhasePages || phase == store.PhaseWindows
}

// begin reads the deletion run of this job, or starts it. A run whose job ended without it, because an operator cancelled it or
// a customer was offboarded meanwhile, is over.
func (x *execution) begin(ctx context.Context) error {
	open, err := x.Store.OpenDeletionRun(ctx, x.Customer.ID, store.EntityUser)
	isOpen := err == nil
	switch {
	case isOpen && open.JobID == x.Run.JobID:
		x.run = open
		return nil
	case isOpen && open.State == store.DeletionHeld:
		return errOtherHeld
	case !isOpen && !errors.Is(err, store.ErrNotFound):
		return err
	}
	return x.Store.InLane(ctx, x.Lease, func(ctx context.Context, tx *store.Tx) error {
		if isOpen {
			if err := tx.ChangeDeletionRun(ctx, open.ID, store.DeletionChange{State: store.DeletionFailed}); err != nil {
				return err
			}
		}
		var err error
		x.run, err = tx.StartDeletionRun(ctx, x.Customer.ID, store.EntityUser, x.Run.JobID, x.Run.TraceID)
		return err
	})
}

// endUnstarted ends a run that must not begin.
func (x *execution) endUnstarted(ctx context.Context) error {
	x.Log.Info("deletion scan not started", zap.Error(errOtherHeld))
	return x.Store.InLane(ctx, x.Lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, x.Run, x.Lease.Epoch, store.RunCompleted, "")
	})
}

// open opens both sides for the phases after the scan.
func (x *execution) open(ctx context.Context) error {
	operation := ""
	if x.Run.Phase == store.PhaseUndo {
		operation = operationUndo
	}
	var err error
	if x.sides, err = x.OpenSides(ctx, operation, true); err != nil {
		return err
	}
	x.users = &lookup.Reader{
		Connect: x.Connect, Customer: x.Customer, Lease: x.Lease, Job: x.Kind.Job(x.Customer), Source: x.sides.Source,
	}
	return nil
}

// scan reads all users. Those that changed are written, as by a poll.
func (x *execution) scan() job.Scan {
	return job.Scan{Next: x.afterScan, OnDone: x.onScanned}
}

// afterScan goes on with the comparison if the scan is proof of which users are missing. A source without any user is compared, too,
// so that an operator sees what it would delete.
func (x *execution) afterScan(run store.Run, step scan.Step) store.ScanPhase {
	if step.Verified || run.Processed+step.NewUsers == 0 {
		return store.PhaseCompare
	}
	return ""
}

// onScanned notes how many users the scan read, in its last page's transaction. If they do not agree with VOMO's counts, the run has
// ended.
func (x *execution) onScanned(ctx context.Context, tx *store.Tx, run store.Run, step scan.Step) error {
	change := store.DeletionChange{State: store.DeletionScanning, Scanned: &run.Processed}
	if isScan(run.Phase) {
		change.State = store.DeletionUnverified
	}
	if err := tx.ChangeDeletionRun(ctx, x.run.ID, change); err != nil {
		return err
	}
	x.run.Scanned = run.Processed
	if change.State == store.DeletionUnverified {
		return x.publishCompleted(ctx, tx, x.run, step.Verified)
	}
	return nil
}

// advance moves the run's cursor in the transaction of a page.
func (x *execution) advance(ctx context.Context, tx *store.Tx, cursor store.Cursor, written, failures int) (store.Run, error) {
	return x.Advance(ctx, tx, store.Advance{
		Cursor: cursor, ScanStartedAt: x.Run.CreatedAt, Written: int64(written), Failures: int64(failures),
	})
}

// onGiveUp ends the deletion run of a run that no further attempt can mend. What it deleted stays deleted.
func onGiveUp(ctx context.Context, tx *store.Tx, run store.Run, _ error) error {
	open, err := tx.LockOpenDeletionRun(ctx, run.Customer, store.EntityUser)
	if errors.Is(err, store.ErrNotFound) || err == nil && open.JobID != run.JobID {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.ChangeDeletionRun(ctx, open.ID, store.DeletionChange{State: store.DeletionFailed})
}

// startByHand starts a scan that an operator requested by publishing a message, whatever the schedule says.
func startByHand(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	_, err := start(ctx, tx, []string{customer.ID})
	return err
}

// start starts scans of these customers, except of those that have a run under way.
func start(ctx context.Context, tx *store.Tx, customers []string) ([]store.RunRef, error) {
	traces := make([]string, 0, len(customers))
	for range customers {
		traces = append(traces, telemetry.TraceParent(ctx))
	}
	return tx.StartRuns(ctx, store.RunStart{
		Kind: store.KindUserDeletions, Job: store.JobUserDeletions, Customers: customers, TraceIDs: traces, AllUsers: true,
	})
}
