package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/window"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// setWindow is when the request lets the backfill run. Its hours were checked when it came.
func setWindow(customer *store.Customer, request *rollcallv1.OnboardingRequest) error {
	if notBefore := request.GetBackfillNotBefore(); notBefore != nil {
		at := notBefore.AsTime().Truncate(time.Microsecond) // what Postgres keeps
		customer.BackfillNotBefore = &at
	}
	hours, errs := window.Parse(request.GetQuietHours())
	if len(errs) > 0 {
		return fmt.Errorf("read stored request: %w", errs)
	}
	var err error
	customer.QuietHours, err = hours.Encode()
	return err
}

// sameWindow says whether both let the backfill run at the same times, however that is written.
func sameWindow(current, wanted store.Customer) bool {
	now, err := window.Of(current.BackfillNotBefore, current.QuietHours)
	if err != nil {
		return false // whatever is wanted is better
	}
	then, err := window.Of(wanted.BackfillNotBefore, wanted.QuietHours)
	return err == nil && now.NotBefore.Equal(then.NotBefore) && now.Quiet.Equal(then.Quiet)
}

// putOff parks the run, which no worker has yet, if the customer's window is closed.
func putOff(ctx context.Context, tx *store.Tx, customer store.Customer, run int64) (window.Wait, error) {
	open, err := window.Of(customer.BackfillNotBefore, customer.QuietHours)
	if err != nil || open.Always() {
		return window.Wait{}, err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return window.Wait{}, err
	}
	wait := open.WaitAt(now)
	if !wait.Needed() {
		return wait, nil
	}
	_, err = tx.PutOffRun(ctx, run, wait.Reason, wait.Until)
	return wait, err
}

// tellEstimate says when a queued backfill of that length may begin, and when it ends with the quiet hours
// counted in.
func tellEstimate(ctx context.Context, tx *store.Tx, customer store.Customer, length time.Duration, completed *rollcallv1.OnboardingCompleted) error {
	open, err := window.Of(customer.BackfillNotBefore, customer.QuietHours)
	if err != nil {
		return err
	}
	start, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	if wait := open.WaitAt(start); wait.Needed() {
		start = wait.Until
	}
	completed.EstimatedStartAt = timestamppb.New(start)
	completed.EstimatedCompletionAt = timestamppb.New(open.Finish(start, min(length, longestEstimate)))
	return nil
}

// longestEstimate bounds an estimate that is made of VOMO's own count, which may be anything.
const longestEstimate = 100 * 365 * 24 * time.Hour
