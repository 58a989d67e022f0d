package job

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// settle turns the outcome of a turn into the run's next state and the message's outcome. Nothing of it needs
// the work's own context, which may have ended.
func (t *turn) settle(ctx, work context.Context, outcome error) error {
	switch {
	case outcome == nil:
		return nil
	case errors.Is(outcome, store.ErrLaneLost), errors.Is(context.Cause(work), store.ErrLaneLost):
		return t.laneLost(ctx, outcome)
	case errors.Is(outcome, errTurnOver), errors.Is(outcome, errDraining):
		return t.handBack(ctx, outcome)
	case errors.Is(outcome, errWanted):
		return t.park(ctx, Park{Reason: ParkLaneWanted, Delay: WantedPause}, outcome)
	case work.Err() != nil:
		// Cancelled in mid-page: by a drain that took too long, or by a lost heartbeat. The cursor stands at
		// the last committed page, and the lane tells whether it is still ours to hand back.
		return t.handBack(ctx, outcome)
	}
	refusals, refused := CountRefusals(outcome, t.run.Refusals, tries)
	if refused != nil {
		return t.giveUp(ctx, refused)
	}
	if park, parked := ParkFor(outcome, t.run.Parks); parked {
		t.run.Refusals = refusals
		return t.park(ctx, park, outcome)
	}
	if fault.KindOf(outcome) == fault.KindPermanent {
		return t.giveUp(ctx, outcome)
	}
	return outcome // ours: Postgres or NATS; the message comes again
}

// park puts the run off in Postgres, holding no slot of the broker, and tells of the condition once.
func (t *turn) park(ctx context.Context, park Park, cause error) error {
	err := t.Store.InLane(ctx, t.lease, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if park, err = Judge(ctx, tx.Conn, t.customer.ID, park, cause, t.run.Parks); err != nil {
			return err
		}
		if err := tx.ParkSyncRun(ctx, t.run.ID, t.lease.Epoch, park.Reason, DetailOf(park, cause), park.Delay); err != nil {
			return err
		}
		if err := tx.CountSyncRefusals(ctx, t.run.ID, t.run.Refusals); err != nil {
			return err
		}
		if err := TellPark(ctx, tx, t.customer.ID, park); err != nil {
			return err
		}
		return NoteRefusal(ctx, tx, t.customer.ID, cause)
	})
	if err != nil {
		return t.notSettled(ctx, "park", err)
	}
	t.Metrics.parked(t.Kind.Name, park.Reason)
	t.log.Warn("run parked", zap.String("reason", park.Reason), zap.Duration("for", park.Delay), zap.Int("page", t.run.NextPage), zap.Error(cause))
	return nil
}

// handBack gives the slot to others; the run is due again in a moment, behind those that wait.
func (t *turn) handBack(ctx context.Context, cause error) error {
	err := t.Store.InLane(ctx, t.lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.HandBackSyncRun(ctx, t.run.ID, t.lease.Epoch, handBackPause)
	})
	if err != nil {
		return t.notSettled(ctx, "hand back", err)
	}
	t.log.Info("run handed back", zap.Int("next_page", t.run.NextPage), zap.String("why", cause.Error()))
	return nil
}

// giveUp ends a run that no further attempt can mend. The next one of the schedule begins at the same checkpoint, so
// nobody is lost by it; that none comes to its end is told by poll_stalled.
func (t *turn) giveUp(ctx context.Context, cause error) error {
	err := t.Store.InLane(ctx, t.lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.EndSyncRun(ctx, t.run, t.lease.Epoch, fault.CodeOf(cause))
	})
	if err != nil {
		return t.notSettled(ctx, "give up", err)
	}
	t.Metrics.ended(t.Kind.Name, "failed")
	t.log.Error("run given up; the next one begins where it began", zap.Error(cause))
	return nil
}

func (t *turn) notSettled(ctx context.Context, verb string, err error) error {
	if errors.Is(err, store.ErrLaneLost) {
		return t.laneLost(ctx, fmt.Errorf("%s run: %w", verb, err))
	}
	return &NotSettledError{verb + " run", err}
}

// laneLost leaves the run to whoever has the lane now. Where an operator paused the customer under this worker that
// is nobody, and nothing is wrong: the message comes once more, and is settled or, should the customer go on, worked.
//
// The claim does not count: this worker did not die of the run.
func (t *turn) laneLost(ctx context.Context, cause error) error {
	if err := t.Store.UncountSyncClaim(ctx, t.run.ID, t.lease.Epoch); err != nil {
		return &NotSettledError{"give the claim back", err}
	}
	if why := StoppedBy(ctx, t.Store.Conn, t.customer); why != "" {
		t.log.Info("run stopped by an operator", zap.String("why", why), zap.Int("next_page", t.run.NextPage))
	} else {
		t.log.Warn("lane lost; another worker goes on", zap.Error(cause))
	}
	return worker.Retry(laneLostPause, cause)
}
