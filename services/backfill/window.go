package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/window"
)

// notNowError says that the customer's window is closed. It is no failure.
type notNowError struct{ wait window.Wait }

// Error says what is waited for.
func (e *notNowError) Error() string {
	return "waits for " + e.wait.Reason + " until " + e.wait.Until.Format(time.RFC3339)
}

// putOff parks a run that no worker has yet and whose time has not come, so that it takes no slot and no lane. A
// request published by hand is no exception: the window is the customer's wish, and an operator who wants to change it
// changes the window.
func (b *backfiller) putOff(ctx context.Context, customer store.Customer, run store.Run, log *zap.Logger) (done bool, err error) {
	if run.State == store.RunRunning {
		return false, nil // its worker may be dead, or not: the lane tells
	}
	open, err := window.Of(customer.BackfillNotBefore, customer.QuietHours)
	if err != nil {
		return false, nil //nolint:nilerr // the claim gives the run up for it, which only a claim can
	}
	wait, err := b.waitNow(ctx, open)
	if err != nil || !wait.Needed() {
		return false, err
	}
	if done, err = b.store.PutOffRun(ctx, run.ID, wait.Reason, wait.Until); err != nil || !done {
		return false, err
	}
	b.metrics.parked(wait.Reason)
	log.Info("backfill put off", zap.Int64("run", run.ID), zap.String("reason", wait.Reason), zap.Time("until", wait.Until))
	return true, nil
}

// waitNow asks the database for the time: what is decided by it is stored, and several machines decide.
func (b *backfiller) waitNow(ctx context.Context, open window.Window) (window.Wait, error) {
	if open.Always() {
		return window.Wait{}, nil
	}
	now, err := b.store.Now(ctx)
	if err != nil {
		return window.Wait{}, err
	}
	return open.WaitAt(now), nil
}

// openFor is how long the turn may last: its length, or until the quiet hours begin where that is sooner. A
// *notNowError where the window is closed.
func (j *turn) openFor(ctx context.Context) (time.Duration, error) {
	open, err := window.Of(j.customer.BackfillNotBefore, j.customer.QuietHours)
	if err != nil {
		return 0, fault.Permanent("quiet_hours_unreadable", err)
	}
	j.window = open
	if open.Always() {
		return j.turn, nil
	}
	now, err := j.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	if wait := open.WaitAt(now); wait.Needed() {
		return 0, &notNowError{wait}
	}
	if quiet, known := open.QuietAfter(now); known {
		return min(j.turn, quiet.Sub(now)), nil
	}
	return j.turn, nil
}

// closed says whether the window has closed since the turn began. The clock that cannot be read is no reason to
// stop: the next page's transaction says what is wrong.
func (j *turn) closed(ctx context.Context) bool {
	if j.window.Quiet.None() {
		return false
	}
	wait, err := j.waitNow(ctx, j.window)
	return err == nil && wait.Needed()
}

// turnOver puts the run off where its window has closed, and else hands it back.
func (j *turn) turnOver(ctx context.Context, cause error) error {
	wait, err := j.waitNow(ctx, j.window)
	if err != nil {
		return err
	}
	if wait.Needed() {
		return j.putOffClaimed(ctx, wait)
	}
	return j.handBack(ctx, cause)
}

// putOffClaimed parks the run in hand, its cursor at the last committed page.
func (j *turn) putOffClaimed(ctx context.Context, wait window.Wait) error {
	err := j.store.InLane(ctx, j.lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.PutOffClaimedRun(ctx, j.run.ID, j.lease.Epoch, wait.Reason, wait.Until)
	})
	if err != nil {
		return j.notSettled(ctx, "put off", fmt.Errorf("wait for %s: %w", wait.Reason, err))
	}
	j.metrics.parked(wait.Reason)
	j.log.Info("backfill put off", zap.String("reason", wait.Reason), zap.Time("until", wait.Until), zap.Int("page", j.run.NextPage))
	return nil
}
