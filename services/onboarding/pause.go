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
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// pauseCustomer stops all work for a customer: the page in hand is not committed, and nothing is
// asked for any more. What is unfinished stays as it stands.
func (o *operators) pauseCustomer(ctx context.Context, question report.CustomerCommand) (report.CustomerCommanded, error) {
	done := report.CustomerCommanded{Action: report.CustomerPaused}
	err := o.command(ctx, "pause", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		switch {
		case customer.OffboardedAt != nil:
			return conflict("customer %q was offboarded: there is nothing to pause", customer.ID)
		case customer.PausedAt != nil:
			done.Action = report.CustomerAlreadyPaused
			return standsNow(ctx, tx, customer.ID, &done)
		}
		// The lane before the customer's row, as in the transaction of a job's last page.
		if err := tx.FenceLane(ctx, customer.ID); err != nil {
			return err
		}
		if _, err := tx.PauseCustomer(ctx, customer.ID); err != nil {
			return err
		}
		if err := tellCustomer(ctx, tx, customer.ID, event.CustomerPaused, func(now time.Time) proto.Message {
			return &rollcallv1.CustomerPaused{CustomerId: customer.ID, PausedAt: timestamppb.New(now)}
		}); err != nil {
			return err
		}
		return standsNow(ctx, tx, customer.ID, &done)
	})
	return done, err
}

// resumeCustomer lets everything go on from where it stood, at once: the runs that are unfinished, the backfill that no
// operator had paused by itself, and a poll.
func (o *operators) resumeCustomer(ctx context.Context, question report.CustomerCommand) (report.CustomerCommanded, error) {
	done := report.CustomerCommanded{Action: report.CustomerResumed}
	err := o.command(ctx, "resume", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		switch {
		case customer.OffboardedAt != nil:
			return conflict("customer %q was offboarded: onboard it again", customer.ID)
		case customer.PausedAt == nil:
			done.Action = report.CustomerNotPaused
			return standsNow(ctx, tx, customer.ID, &done)
		}
		// Runs before the customer's row, as in every transaction of a job: in another order the two could wait for each
		// other. One who is switched off waits for a new token, which wakes them.
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
		if err := tellCustomer(ctx, tx, customer.ID, event.CustomerResumed, func(now time.Time) proto.Message {
			return &rollcallv1.CustomerResumed{CustomerId: customer.ID, ResumedAt: timestamppb.New(now)}
		}); err != nil {
			return err
		}
		return standsNow(ctx, tx, customer.ID, &done)
	})
	return done, err
}

// requeueBackfill requests the customer's unfinished backfill, unless its window is closed.
func requeueBackfill(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	run, err := tx.RequeueOpenRun(ctx, customer.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if wait, err := putOff(ctx, tx, customer, run); err != nil || wait.Needed() {
		return err
	}
	return publishRequest(ctx, tx, customer.ID, run)
}

// standsNow tells how the transaction leaves the customer.
func standsNow(ctx context.Context, tx *store.Tx, id string, done *report.CustomerCommanded) error {
	customer, err := tx.Customer(ctx, id)
	if err != nil {
		return err
	}
	done.CustomerID, done.PausedAt, done.Enabled, done.BackfillCompletedAt = id, customer.PausedAt, customer.Enabled, customer.BackfillCompletedAt
	if customer.Steady() {
		done.NextPollAt = customer.NextPollAt
	}
	run, err := tx.OpenRun(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	state := string(run.State)
	done.Backfill = &state
	return err
}

// tellCustomer tells what an operator did to a customer. The same may happen again: the time is part of the id.
func tellCustomer(ctx context.Context, tx *store.Tx, customer, name string, of func(now time.Time) proto.Message) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	id := name + "-" + customer + "-" + strconv.FormatInt(now.UnixMicro(), 10)
	return tell(ctx, tx, event.Fact{Name: name, Customer: customer, ID: id, Data: of(now)})
}
