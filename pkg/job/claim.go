package job

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/worker"
)

// LaneTakenPause is after how long a job that finds the lane taken comes back.
const LaneTakenPause = 1500 * time.Millisecond

// claim takes the customer's lane with the run, and works the run. open is the run as it was before.
func (r *Runner) claim(ctx context.Context, delivery *worker.Delivery, customer store.Customer, open store.Run, release func(),
	log *zap.Logger,
) error {
	claimed, err := r.take(ctx, customer)
	switch {
	case errors.Is(err, store.ErrLaneTaken):
		return worker.Retry(LaneTakenPause, err)
	case errors.Is(err, store.ErrUnavailable): // it may have been claimed all the same
		return Settled(ctx, func(ctx context.Context) error { return r.forgetClaim(ctx, claimed, err) })
	case err != nil:
		return err
	}
	message := ctx
	ctx, letGo := Hold(ctx, claimed.Lease, log)
	defer letGo()
	// The customer was read again with the lane, since when no other job can change it: the destination may have been replaced while
	// we waited.
	execution := &Execution{Runner: r, Customer: claimed.Customer, Run: open, Lease: claimed.Lease, release: release, sides: claimed.Sides, grant: claimed.Grant}
	if claimed.Run != nil {
		execution.Run = *claimed.Run
	} else if err = execution.claimMoved(ctx); errors.Is(err, store.ErrNotFound) {
		return nil // it ended, or an operator stopped it, meanwhile
	}
	ctx, span := r.Tracing.Continue(ctx, execution.Run.TraceID, telemetry.SpanRun(r.Kind.Name), customer.ID)
	defer func() { span.End(nil) }()
	run := execution.Run
	execution.Log = log.WithLazy(append(telemetry.LogFields(ctx), zap.Int64("run", run.ID), zap.String("trace", run.TraceID))...)
	switch {
	case errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable): // it may have been claimed all the same
		return Settled(message, func(ctx context.Context) error { return execution.laneLost(ctx, err) })
	case err != nil:
		return err
	case !r.Kind.Serves(execution.Customer): // stopped in the moment before the lane was taken
		return Settled(message, func(ctx context.Context) error { return execution.handBack(ctx, errNotServed) })
	case run.Attempts > r.tries():
		return Settled(message, func(ctx context.Context) error {
			return execution.giveUp(ctx, fault.Permanent("too_many_attempts", errors.New("claimed too often without a committed page")))
		})
	}
	execution.Log.Log(r.level(), "run claimed", zap.Int("from_page", run.NextPage), zap.Int64("epoch", claimed.Lease.Epoch),
		zap.Int("attempt", run.Attempts))
	span.Set(telemetry.Run(run.ID), telemetry.Attempt(run.Attempts))
	outcome := execution.work(ctx, delivery.Draining())
	span.Set(telemetry.Outcome(outcomeWord(outcome)))
	return Settled(message, func(settling context.Context) error { return execution.settle(settling, ctx, outcome) })
}

// errNotServed means that the customer was paused or switched off before the run was claimed.
var errNotServed = errors.New("the customer is paused, switched off, or not ready for this kind of run")

// take takes the customer's lane for the time of the work, with the run.
func (r *Runner) take(ctx context.Context, customer store.Customer) (store.ClaimedRun, error) {
	claim := store.RunClaim{Customer: customer.ID, Kind: r.Kind.Name, Holder: r.Holder, LeaseFor: r.LeaseFor}
	if r.Kind.AsksFirst {
		claim.Grant = r.Connect.GrantClaim(customer, r.Kind.Job(customer))
	}
	if r.Kind.Patience != nil {
		if patience := r.Kind.Patience(customer); patience > 0 {
			return r.Store.AwaitRun(ctx, claim, patience)
		}
	}
	return r.Store.TakeRun(ctx, claim)
}

// forgetClaim takes back a claim that had no answer. The message comes again.
func (r *Runner) forgetClaim(ctx context.Context, claimed store.ClaimedRun, cause error) error {
	if err := r.Store.ForgetClaim(ctx, claimed, r.Kind.Name); err != nil {
		return &NotSettledError{"take the claim back", err}
	}
	return worker.Retry(laneLostPause, cause)
}

// claimMoved claims a run that is still in a table of the version before.
func (e *Execution) claimMoved(ctx context.Context) error {
	return e.Store.InLane(ctx, e.Lease, func(ctx context.Context, tx *store.Tx) error {
		run, err := tx.ClaimRun(ctx, e.Customer.ID, e.Kind.Name, e.Lease.Epoch)
		if err == nil {
			e.Run = run
		}
		return err
	})
}

func (r *Runner) tries() int { return cmp.Or(r.Kind.Tries, defaultTries) }

func (r *Runner) level() zapcore.Level {
	if r.Kind.Routine {
		return zap.DebugLevel
	}
	return zap.InfoLevel
}
