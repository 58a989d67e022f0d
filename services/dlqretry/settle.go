package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

// Why a customer is held, beside the reasons of job.ParkFor.
const (
	heldLaneTaken = "lane_taken"
	heldLaneLost  = "lane_lost"
	heldStopped   = "stopping"
	heldInternal  = "internal"
	heldNotTold   = "not_told" // whether its destination works again
)

// How long a customer is left alone whose destination could not be asked by any record.
const (
	notToldPause   = 5 * time.Second
	longestNotTold = time.Hour
)

// settle says what follows from how the turn ended. Nothing of it needs the turn's own context, which may have ended.
func (t *turn) settle(turn context.Context, more bool, err error) ended {
	if err == nil {
		t.logTurn()
		t.release(turn)
		if t.lease.Wanted() {
			return ended{hold: job.WantedPause} // whoever wants the lane looks for it every two seconds
		}
		return ended{more: more}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(turn), settleTimeout)
	defer cancel()
	switch {
	case errors.Is(err, store.ErrLaneLost), errors.Is(context.Cause(turn), store.ErrLaneLost):
		if why := job.StoppedBy(ctx, t.store.Conn, t.customer); why != "" {
			t.log.Info("letters left: an operator stopped the turn", zap.String("why", why))
		} else {
			t.log.Warn("lane lost; the letters wait", zap.Error(err))
		}
		t.failJob(ctx, err)
		return ended{hold: laneLostPause, reason: heldLaneLost}
	case errors.Is(err, errStopping), turn.Err() != nil:
		t.failJob(ctx, err)
		return ended{hold: laneLostPause, reason: heldStopped}
	}
	if errors.Is(err, errNotTold) {
		t.log.Info("it is not known whether the destination works again", zap.Error(err))
		hold := backoff.Delays{First: notToldPause, Longest: longestNotTold}.After(t.holds + 1)
		return ended{hold: hold, reason: heldNotTold, counts: true}
	}
	park, parked := job.ParkFor(err, t.holds)
	if !parked {
		t.log.Error("letters not retried", zap.Error(err))
		t.failJob(ctx, err)
		return ownFault(t.holds)
	}
	telling := t.store.InLane(ctx, t.lease, func(ctx context.Context, tx *store.Tx) error {
		return t.tellHold(ctx, tx, &park, err)
	})
	if errors.Is(telling, store.ErrLaneLost) {
		return ended{hold: laneLostPause, reason: heldLaneLost} // whoever took it may have mended what stopped this turn
	}
	if telling != nil {
		t.log.Warn("what holds the letters was not told", zap.Error(telling))
	}
	t.log.Warn("letters held", zap.String("reason", park.Reason), zap.Duration("for", park.Delay), zap.Error(err))
	if park.Reason == event.AlertAuthFailed {
		return ended{reason: park.Reason} // switched off until a new token comes, and then tried at once
	}
	return ended{hold: park.Delay, reason: park.Reason, counts: true}
}

// tellHold tells of what holds the letters, in the transaction of the lane; a refused token may be VOMO's fault.
func (t *turn) tellHold(ctx context.Context, tx *store.Tx, park *job.Park, cause error) error {
	var err error
	if *park, err = job.Judge(ctx, tx.Conn, t.customer.ID, *park, cause, t.holds); err != nil {
		return err
	}
	errs := []error{job.TellPark(ctx, tx, t.customer.ID, *park), job.NoteRefusal(ctx, tx, t.customer.ID, cause)}
	if park.Reason != event.AlertAuthFailed { // a customer that is switched off is not tried: there is no time to tell
		errs = append(errs, tx.HoldLetters(ctx, t.customer.ID, park.Reason, job.DetailOf(*park, cause), park.Delay))
	}
	return errors.Join(append(errs, t.finishJob(ctx, tx.Conn, cause))...)
}

// release notes that what held the letters is over: a turn came to its end.
func (t *turn) release(ctx context.Context) {
	if t.jobID == 0 {
		return
	}
	if err := t.store.ReleaseLetters(ctx, t.customer.ID); err != nil {
		t.log.Warn("status may say for a while that the letters are held", zap.Error(err))
	}
}

func (t *turn) failJob(ctx context.Context, cause error) {
	if err := t.finishJob(ctx, t.store.Conn, cause); err != nil {
		t.log.Warn("end of the job not logged", zap.Error(err))
	}
}

// finishJob ends the line in the job log as failed, where it has begun and not ended yet.
func (t *turn) finishJob(ctx context.Context, on store.Conn, cause error) error {
	if t.jobID == 0 {
		return nil
	}
	return on.FinishJob(ctx, t.jobID, int64(t.work.retried+t.work.failed), int64(t.work.failed), fault.CodeOf(cause))
}

func (t *turn) logTurn() {
	if t.jobID == 0 {
		return
	}
	t.log.Info("letters retried", zap.Int("settled", t.work.retried), zap.Int("failed", t.work.failed),
		zap.Int("users_gone", t.work.gone), zap.String("trace", t.traceID))
}
