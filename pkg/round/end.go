package round

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

// Why a customer is held, beside the reasons of job.ParkFor and of a HoldError.
const (
	HeldLaneTaken = "lane_taken"
	HeldLaneLost  = "lane_lost"
	HeldStopped   = "stopping"
	HeldInternal  = "internal"
)

// LaneLostPause is for how long a customer is held whose lane was lost during the round.
const LaneLostPause = time.Second

const (
	endTimeout = 5 * time.Second
	// Delays after a panic, or a fault of ours. Most are outages of Postgres: work continues within 30 s of their end.
	ownFaultPause   = 2 * time.Second
	longestOwnFault = 20 * time.Second
)

// End is how a round ended.
type End struct {
	More   bool          // other rows are due
	Hold   time.Duration // how long this process leaves the customer alone
	Reason string        // why the round ended early; "" if it came to its end
	Counts bool          // the next hold in a row is longer
	Memo   string        // what the customer's next round gets
}

// HoldError is the error of work that holds the customer for a reason of its kind's own.
type HoldError struct {
	Park job.Park
	Err  error
	// Unstored means that only this kind's rounds in this process wait: what StoreHold stores concerns other kinds, too.
	Unstored bool
}

// Error returns the text of the cause.
func (e *HoldError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *HoldError) Unwrap() error { return e.Err }

func ownFault(after Next) End {
	hold := backoff.Delays{First: ownFaultPause, Longest: longestOwnFault}.After(after.Holds + 1)
	return End{Hold: hold, Reason: HeldInternal, Counts: true, Memo: after.Memo}
}

// end turns the error of a round into what follows. It has a context of its own, because the round's may have ended.
func (r *Round) end(ctx context.Context, more bool, err error) End {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	switch {
	case err == nil:
		return r.cameToItsEnd(ending, more)
	case errors.Is(err, store.ErrLaneLost), errors.Is(context.Cause(ctx), store.ErrLaneLost):
		if why := job.StoppedBy(ending, r.Store.Conn, r.Customer); why != "" {
			r.Log.Info("round stopped by an operator", zap.String("why", why))
		} else {
			r.Log.Warn("lane lost; what is due waits", zap.Error(err))
		}
		r.endJob(ending, fault.CodeOf(err))
		return End{Hold: LaneLostPause, Reason: HeldLaneLost}
	case errors.Is(err, errStopping), ctx.Err() != nil:
		r.endJob(ending, fault.CodeOf(err))
		return End{Hold: LaneLostPause, Reason: HeldStopped}
	}
	return r.park(ending, err)
}

func (r *Round) cameToItsEnd(ctx context.Context, more bool) End {
	if r.JobID != 0 {
		r.endJob(ctx, "")
		if err := r.Kind.DeleteHold(ctx, r.Customer.ID); err != nil {
			r.Log.Warn("hold not deleted: status goes on to show it", zap.Error(err))
		}
	}
	if r.Lease != nil && r.Lease.Wanted() {
		return End{Hold: job.WantedPause} // the job that wants the lane looks for it every two seconds
	}
	return End{More: more}
}

// park holds the customer for what the error says of another system, and raises the alert of it.
func (r *Round) park(ctx context.Context, cause error) End {
	park, parked := job.ParkFor(cause, r.Holds)
	own, isOwn := errors.AsType[*HoldError](cause)
	if isOwn {
		park, parked = own.Park, true
	}
	if isOwn && own.Unstored {
		r.Log.Info("customer held", zap.String("reason", park.Reason), zap.Duration("for", park.Delay), zap.Error(cause))
		r.endJob(ctx, fault.CodeOf(cause))
		return End{Hold: park.Delay, Reason: park.Reason}
	}
	if !parked {
		r.Log.Error("round failed", zap.Error(cause))
		r.endJob(ctx, fault.CodeOf(cause))
		return ownFault(r.Next)
	}
	err := r.inTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return r.noteHold(ctx, tx, &park, cause)
	})
	if errors.Is(err, store.ErrLaneLost) {
		return End{Hold: LaneLostPause, Reason: HeldLaneLost} // the job that took it may have resolved the cause
	}
	if err != nil {
		r.Log.Warn("hold not stored: status and alerts do not show it", zap.Error(err))
	}
	r.Log.Warn("customer held", zap.String("reason", park.Reason), zap.Duration("for", park.Delay), zap.Error(cause))
	if err == nil && (r.Kind.LookSkipsHeld || park.Reason == event.AlertAuthFailed) {
		return End{Reason: park.Reason} // Look leaves it out, also one that is switched off until a new token comes
	}
	return End{Hold: park.Delay, Reason: park.Reason, Counts: true}
}

// inTx runs a transaction, in the lane if the round has it.
func (r *Round) inTx(ctx context.Context, do func(ctx context.Context, tx *store.Tx) error) error {
	if r.Lease == nil {
		return r.Store.InTx(ctx, do)
	}
	return r.Store.InLane(ctx, r.Lease, do)
}

// noteHold stores the hold and raises its alert. Judge may find that a rejected token is VOMO's fault.
func (r *Round) noteHold(ctx context.Context, tx *store.Tx, park *job.Park, cause error) error {
	var err error
	if *park, err = job.Judge(ctx, tx.Conn, r.Customer.ID, *park, cause, r.Holds); err != nil {
		return err
	}
	return errors.Join(
		job.RaiseParkAlert(ctx, tx, r.Customer.ID, *park),
		job.NoteRefusal(ctx, tx, r.Customer.ID, cause),
		r.storeHold(ctx, tx, *park, cause),
		r.finishJob(ctx, tx.Conn, fault.CodeOf(cause)),
	)
}

func (r *Round) storeHold(ctx context.Context, tx *store.Tx, park job.Park, cause error) error {
	if r.Kind.StoreHold == nil {
		return nil
	}
	return r.Kind.StoreHold(ctx, tx, r.Customer.ID, park, job.DetailOf(park, cause))
}

func (r *Round) endJob(ctx context.Context, code string) {
	if err := r.finishJob(ctx, r.Store.Conn, code); err != nil {
		r.Log.Warn("end of the job not logged", zap.Error(err))
	}
}

// finishJob ends the round's line in job_log, if it has begun and not ended; code "" is a success.
func (r *Round) finishJob(ctx context.Context, on store.Conn, code string) error {
	if r.JobID == 0 {
		return nil
	}
	return on.FinishJob(ctx, r.JobID, int64(r.Worked), int64(r.Failed), code)
}
