package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// pauseCustomer stops all work for a customer: the current page is not committed, and no requests are published. Unfinished
// runs keep their state.
func (o *operators) pauseCustomer(ctx context.Context, question operatorapi.CustomerCommand) (operatorapi.CustomerCommanded, error) {
	done := operatorapi.CustomerCommanded{Action: operatorapi.CustomerPaused}
	err := o.command(ctx, "pause", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		switch {
		case customer.OffboardedAt != nil:
			return conflict("customer %q was offboarded: there is nothing to pause", customer.ID)
		case customer.PausedAt != nil:
			done.Action = operatorapi.CustomerAlreadyPaused
			return describeCustomer(ctx, tx, customer.ID, &done)
		}
		// The lane comes before the customer's row, as in the transaction of a job's last page.
		if err := tx.FenceLane(ctx, customer.ID); err != nil {
			return err
		}
		if err := tx.FenceGivingLane(ctx, customer.ID); err != nil {
			return err
		}
		if _, err := tx.PauseCustomer(ctx, customer.ID); err != nil {
			return err
		}
		if err := publishCustomerEvent(ctx, tx, customer.ID, event.CustomerPaused, func(now time.Time) proto.Message {
			return &rollcallv1.CustomerPaused{CustomerId: customer.ID, PausedAt: timestamppb.New(now)}
		}); err != nil {
			return err
		}
		return describeCustomer(ctx, tx, customer.ID, &done)
	})
	return done, err
}

// resumeCustomer continues all work at once: the unfinished runs, the backfill unless an operator paused it separately, and a
// poll.
func (o *operators) resumeCustomer(ctx context.Context, question operatorapi.CustomerCommand) (operatorapi.CustomerCommanded, error) {
	done := operatorapi.CustomerCommanded{Action: operatorapi.CustomerResumed}
	err := o.command(ctx, "resume", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		switch {
		case customer.OffboardedAt != nil:
			return conflict("customer %q was offboarded: onboard it again", customer.ID)
		case customer.PausedAt == nil:
			done.Action = operatorapi.CustomerNotPaused
			return describeCustomer(ctx, tx, customer.ID, &done)
		}
		// Runs come before the customer's row, as in every transaction of a job; another order could deadlock. The runs of a
		// switched-off customer wait for a new token, which wakes them.
		if customer.Enabled {
			if err := job.Requeue(ctx, tx, customer.ID); err != nil {
				return err
			}
			if err := requeueBackfill(ctx, tx, customer); err != nil {
				return err
			}
		}
		if _, err := tx.ResumeCustomer(ctx, customer.ID); err != nil {
			return err
		}
		if err := publishCustomerEvent(ctx, tx, customer.ID, event.CustomerResumed, func(now time.Time) proto.Message {
			return &rollcallv1.CustomerResumed{CustomerId: customer.ID, ResumedAt: timestamppb.New(now)}
		}); err != nil {
			return err
		}
		return describeCustomer(ctx, tx, customer.ID, &done)
	})
	return done, err
}

// requeueBackfill requests the customer's unfinished backfill, unless its window is closed.
func requeueBackfill(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	requeued, err := tx.RequeueRuns(ctx, customer.ID, store.KindBackfill)
	if err != nil || len(requeued) == 0 {
		return err
	}
	if wait, err := putOff(ctx, tx, customer); err != nil || wait.Needed() {
		return err
	}
	return publishRequest(ctx, tx, requeued[0])
}

// describeCustomer fills in the customer as it is after the transaction.
func describeCustomer(ctx context.Context, tx *store.Tx, id string, done *operatorapi.CustomerCommanded) error {
	customer, err := tx.Customer(ctx, id)
	if err != nil {
		return err
	}
	done.CustomerID, done.PausedAt, done.Enabled, done.BackfillCompletedAt = id, customer.PausedAt, customer.Enabled, customer.BackfillCompletedAt
	if customer.Steady() {
		done.NextPollAt = customer.NextPollAt
	}
	run, err := tx.OpenRun(ctx, id, store.KindBackfill)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	state := string(run.State)
	done.Backfill = &state
	return err
}

// publishCustomerEvent publishes the event of an operator's command on a customer. The id contains the time, because the same
// command may be given again.
func publishCustomerEvent(ctx context.Context, tx *store.Tx, customer, name string, of func(now time.Time) proto.Message) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	id := name + "-" + customer + "-" + strconv.FormatInt(now.UnixMicro(), 10)
	return publishFact(ctx, tx, event.Fact{Name: name, Customer: customer, ID: id, Data: of(now)})
}
