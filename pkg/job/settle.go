package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
)

const laneLostPause = time.Second

// settle turns the outcome of the work into the run's next state and the message's outcome. It does not need the context of the
// work, which may have ended.
func (e *Execution) settle(ctx, work context.Context, outcome error) error {
	var notNow *notNowError
	switch {
	case outcome == nil:
		return nil
	case errors.Is(outcome, store.ErrLaneLost), errors.Is(context.Cause(work), store.ErrLaneLost):
		return e.laneLost(ctx, outcome)
	case errors.As(outcome, &notNow):
		return e.putOffClaimed(ctx, notNow.wait)
	case errors.Is(outcome, errTurnOver):
		wait, err := e.waitFor(ctx, e.window)
		if err != nil {
			return err
		}
		if wait.Needed() {
			return e.putOffClaimed(ctx, wait)
		}
		return e.handBack(ctx, outcome)
	case errors.Is(outcome, errDraining):
		return e.handBack(ctx, outcome)
	case errors.Is(outcome, errWanted):
		return e.park(ctx, Park{Reason: ParkLaneWanted, Delay: WantedPause}, outcome)
	case work.Err() != nil:
		// Cancelled in the middle of a page: by a drain that took too long, or by a lost heartbeat. The cursor is at the last
		// committed page, and the lane tells whether it is still ours to hand back.
		return e.handBack(ctx, outcome)
	}
	refusals, refused := CountRefusals(outcome, e.Run.Refusals, e.tries())
	if refused != nil {
		return e.giveUp(ctx, refused)
	}
	if park, parked := ParkFor(outcome, e.Run.Parks); parked {
		e.Run.Refusals = refusals
		return e.park(ctx, park, outcome)
	}
	if fault.KindOf(outcome) == fault.KindPermanent {
		return e.giveUp(ctx, outcome)
	}
	return outcome // our own fault: Postgres or NATS; the message comes again
}

// park puts the run off in Postgres, where it holds no slot of the broker, and raises the alert of the condition once.
func (e *Execution) park(ctx context.Context, park Park, cause error) error {
	err := e.Store.InLane(ctx, e.Lease, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if park, err = Judge(ctx, tx.Conn, e.Customer.ID, park, cause, e.Run.Parks); err != nil {
			return err
		}
		if err := tx.ParkRun(ctx, e.Run.ID, e.Lease.Epoch, park.Reason, DetailOf(park, cause), park.Delay); err != nil {
			return err
		}
		if err := tx.CountRefusals(ctx, e.Run.ID, e.Run.Refusals); err != nil {
			return err
		}
		if err := RaiseParkAlert(ctx, tx, e.Customer.ID, park); err != nil {
			return err
		}
		return NoteRefusal(ctx, tx, e.Customer.ID, cause)
	})
	if err != nil {
		return e.notSettled(ctx, "park", err)
	}
	e.Metrics.parked(e.Customer.ID, e.Kind.Name, park.Reason)
	level := zap.WarnLevel
	if park.Reason == ParkLaneWanted {
		level = e.level()
	}
	e.Log.Log(level, "run parked", zap.String("reason", park.Reason), zap.Duration("for", park.Delay), zap.Int("page", e.Run.NextPage), zap.Error(cause))
	return nil
}

// putOffClaimed parks the run until its window opens, with its cursor at the last committed page.
func (e *Execution) putOffClaimed(ctx context.Context, wait window.Wait) error {
	err := e.Store.InLane(ctx, e.Lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.PutOffClaimedRun(ctx, e.Run.ID, e.Lease.Epoch, wait.Reason, wait.Until)
	})
	if err != nil {
		return e.notSettled(ctx, "put off", fmt.Errorf("wait for %s: %w", wait.Reason, err))
	}
	e.Metrics.parked(e.Customer.ID, e.Kind.Name, wait.Reason)
	e.Log.Log(e.level(), "run put off", zap.String("reason", wait.Reason), zap.Time("until", wait.Until), zap.Int("page", e.Run.NextPage))
	return nil
}

// handBack gives the slot to others; the run is due again in a moment, behind those that wait.
func (e *Execution) handBack(ctx context.Context, cause error) error {
	err := e.Store.InLane(ctx, e.Lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.HandBackRun(ctx, e.Run.ID, e.Lease.Epoch, handBackPause)
	})
	if err != nil {
		return e.notSettled(ctx, "hand back", err)
	}
	e.Log.Info("run handed back", zap.Int("next_page", e.Run.NextPage), zap.String("why", cause.Error()))
	return nil
}

// giveUp ends a run that no further attempt can mend. A scheduled run needs no letter: the next one starts at the same
// checkpoint, so that no user is lost by it, and poll_stalled is raised if none finishes.
func (e *Execution) giveUp(ctx context.Context, cause error) error {
	code := fault.CodeOf(cause)
	e.Run.Failure = cause.Error()
	err := e.Store.InLane(ctx, e.Lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.FinishRun(ctx, e.Run, e.Lease.Epoch, store.RunFailed, code); err != nil {
			return err
		}
		if e.Kind.OnGiveUp == nil {
			return nil
		}
		return e.Kind.OnGiveUp(ctx, tx, e.Run, cause)
	})
	if err != nil {
		return e.notSettled(ctx, "give up", err)
	}
	e.Metrics.ended(e.Customer.ID, e.Kind.Name, "failed")
	if e.Kind.LetterOnGiveUp {
		return fmt.Errorf("%s given up: %w", e.Kind.Name, cause)
	}
	e.Log.Error("run given up; the next one starts where it started", zap.Error(cause))
	return nil
}

func (e *Execution) notSettled(ctx context.Context, verb string, err error) error {
	if errors.Is(err, store.ErrLaneLost) {
		return e.laneLost(ctx, fmt.Errorf("%s run: %w", verb, err))
	}
	return &NotSettledError{verb + " run", err}
}

// laneLost leaves the run to the worker that has the lane now. If an operator stopped the run or the customer under this worker,
// there is no such worker, and nothing is wrong: the message comes once more, and is settled or, if the customer was
// resumed, worked.
//
// The claim does not count: this worker did not die of the run.
func (e *Execution) laneLost(ctx context.Context, cause error) error {
	if err := e.Store.UncountClaim(ctx, e.Customer.ID, e.Kind.Name, e.Lease.Epoch); err != nil {
		return &NotSettledError{"take the claim back", err}
	}
	if why := e.stoppedBy(ctx); why != "" {
		e.Log.Info("run stopped by an operator", zap.String("why", why), zap.Int("next_page", e.Run.NextPage))
	} else {
		e.Log.Warn("lane lost; another worker goes on", zap.Error(cause))
	}
	return worker.Retry(laneLostPause, cause)
}

// stoppedBy returns what an operator did to the run or to its customer; "" if neither was stopped.
func (e *Execution) stoppedBy(ctx context.Context) string {
	run, err := e.Store.OpenRun(ctx, e.Customer.ID, e.Kind.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "the run has ended"
	case err == nil && run.State == store.RunPaused:
		return "the run was paused"
	}
	return StoppedBy(ctx, e.Store.Conn, e.Customer)
}

// StoppedBy returns why the holder of a customer's lane lost it if no other worker has it: an operator paused or switched off
// the customer, perhaps for a moment only. It returns "" for any other reason, and if the customer cannot be read. before is
// the customer as the work began.
func StoppedBy(ctx context.Context, from store.Conn, before store.Customer) string {
	now, err := from.Customer(ctx, before.ID)
	switch {
	case err != nil:
		return ""
	case !now.Active():
		return "the customer was paused, switched off or offboarded"
	case now.ActiveSince != nil && (before.ActiveSince == nil || now.ActiveSince.After(*before.ActiveSince)):
		return "the customer was stopped for a moment, and goes on again"
	}
	return ""
}
