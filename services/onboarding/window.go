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

// setWindow sets when the backfill may run. The hours were validated when the request arrived.
func setWindow(customer *store.Customer, request *rollcallv1.OnboardingRequest) error {
	if notBefore := request.GetBackfillNotBefore(); notBefore != nil {
		at := notBefore.AsTime().Truncate(time.Microsecond) // the precision of Postgres
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

// isSameWindow returns whether both windows are equal, regardless of their notation.
func isSameWindow(current, wanted store.Customer) bool {
	now, err := window.Of(current.BackfillNotBefore, current.QuietHours)
	if err != nil {
		return false // replace a window that cannot be read
	}
	then, err := window.Of(wanted.BackfillNotBefore, wanted.QuietHours)
	return err == nil && now.NotBefore.Equal(then.NotBefore) && now.Quiet.Equal(then.Quiet)
}

// putOff parks the customer's backfill, which no worker has yet, if the customer's window is closed.
func putOff(ctx context.Context, tx *store.Tx, customer store.Customer) (window.Wait, error) {
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
	_, err = tx.PutOffRun(ctx, customer.ID, store.KindBackfill, wait.Reason, wait.Until)
	return wait, err
}

// addEstimate adds when a queued backfill of that length may start, and when it ends with quiet hours included.
func addEstimate(ctx context.Context, tx *store.Tx, customer store.Customer, length time.Duration, completed *rollcallv1.OnboardingCompleted) error {
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

// longestEstimate limits the estimate, because it depends on VOMO's count, which may be wrong.
const longestEstimate = 100 * 365 * 24 * time.Hour
