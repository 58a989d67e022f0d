package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// operators does what operators ask for. Each command is one transaction with the events that tell of it, and a
// line in the log; who asked is not known.
type operators struct {
	store    *store.Store
	vault    *vault.Vault
	logger   *zap.Logger
	holder   string
	leaseFor time.Duration
	patience time.Duration // how long a change of the destination waits for the lane
	private  destination.PrivateAccess
	limits   budget.Limits // the installation's
}

// command runs a command on a customer that was onboarded, one at a time for each.
func (o *operators) command(ctx context.Context, verb, id string, do func(ctx context.Context, tx *store.Tx, customer store.Customer) error) error {
	if err := readable(id); err != nil {
		return err
	}
	err := o.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return onCustomer(ctx, tx, id, do) })
	if err == nil {
		o.logger.Info("done for an operator", zap.String("customer", id), zap.String("verb", verb))
	}
	return err
}

func onCustomer(ctx context.Context, tx *store.Tx, id string, do func(ctx context.Context, tx *store.Tx, customer store.Customer) error) error {
	if err := tx.LockCustomer(ctx, id); err != nil {
		return err
	}
	customer, err := tx.Customer(ctx, id)
	if err != nil {
		return err
	}
	return do(ctx, tx, customer)
}

// startBackfill queues a full read of a known customer, or lets a paused one go on.
func (o *operators) startBackfill(ctx context.Context, question report.BackfillCommand) (report.BackfillCommanded, error) {
	var done report.BackfillCommanded
	err := o.command(ctx, "backfill start", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		switch {
		case !customer.Enabled:
			return switchedOff(customer)
		case customer.PausedAt != nil:
			return conflict("customer %q is paused: let it go on first, with rollcall resume %s", customer.ID, customer.ID)
		}
		open, err := tx.OpenRun(ctx, customer.ID)
		var id int64
		switch {
		case errors.Is(err, store.ErrNotFound):
			if id, err = startRun(ctx, tx, customer, question.Rewrite); err != nil {
				return err
			}
			done.Action = report.BackfillStarted
		case err != nil:
			return err
		case open.State != store.RunPaused:
			return conflict("backfill %d of %q is %s and goes on by itself; `rollcall backfill cancel` ends it", open.ID, customer.ID, standing(open))
		case question.Rewrite && open.Rewrite == nil:
			return conflict("backfill %d of %q is paused and does not rewrite: resume it without --rewrite, or cancel it first", open.ID, customer.ID)
		default:
			if _, err := tx.ResumeRun(ctx, customer.ID); err != nil {
				return err
			}
			id, done.Action = open.ID, report.BackfillResumed
			if err := tellRun(ctx, tx, customer.ID, id, event.BackfillResumed, func(now time.Time) proto.Message {
				return &rollcallv1.BackfillResumed{CustomerId: customer.ID, RunId: id, ResumedAt: timestamppb.New(now)}
			}); err != nil {
				return err
			}
		}
		if err := publishRequest(ctx, tx, customer.ID, id); err != nil {
			return err
		}
		return describe(ctx, tx, customer, id, &done)
	})
	return done, err
}

func startRun(ctx context.Context, tx *store.Tx, customer store.Customer, rewrite bool) (id int64, err error) {
	var started bool
	if rewrite {
		id, started, err = tx.StartRewrite(ctx, customer.ID, backfillJob(customer), event.NewTraceID(), false)
	} else {
		id, started, err = tx.StartRun(ctx, customer.ID, backfillJob(customer), event.NewTraceID())
	}
	if err != nil {
		return 0, err
	}
	if !started {
		return 0, fmt.Errorf("start backfill of %s: another one was started meanwhile", customer.ID)
	}
	return id, event.Clear(ctx, tx, customer.ID, event.AlertBackfillFailed, "A new backfill was started.")
}

// pauseBackfill stops a run at its last committed page until startBackfill.
func (o *operators) pauseBackfill(ctx context.Context, question report.BackfillCommand) (report.BackfillCommanded, error) {
	var done report.BackfillCommanded
	err := o.command(ctx, "backfill pause", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		run, err := tx.PauseRun(ctx, customer.ID)
		if errors.Is(err, store.ErrNotFound) {
			open, err := tx.OpenRun(ctx, customer.ID)
			if errors.Is(err, store.ErrNotFound) {
				return noBackfill(customer)
			}
			if err != nil {
				return err
			}
			done.Action = report.BackfillAlreadyPaused
			return describe(ctx, tx, customer, open.ID, &done)
		}
		if err != nil {
			return err
		}
		done.Action = report.BackfillPaused
		if err := tellRun(ctx, tx, customer.ID, run.ID, event.BackfillPaused, func(now time.Time) proto.Message {
			return &rollcallv1.BackfillPaused{CustomerId: customer.ID, RunId: run.ID, PausedAt: timestamppb.New(now)}
		}); err != nil {
			return err
		}
		return describe(ctx, tx, customer, run.ID, &done)
	})
	return done, err
}

// cancelBackfill ends a run for good.
func (o *operators) cancelBackfill(ctx context.Context, question report.BackfillCommand) (report.BackfillCommanded, error) {
	var done report.BackfillCommanded
	err := o.command(ctx, "backfill cancel", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		open, err := tx.OpenRun(ctx, customer.ID)
		if errors.Is(err, store.ErrNotFound) {
			return noBackfill(customer)
		}
		if err != nil {
			return err
		}
		cancelled, err := cancelRun(ctx, tx, open, "cancelled", "The backfill that waited for it was cancelled.")
		if err != nil {
			return err
		}
		if !cancelled {
			return noBackfill(customer)
		}
		done.Action = report.BackfillCancelled
		return describe(ctx, tx, customer, open.ID, &done)
	})
	return done, err
}

// cancelRun ends an open run, with the conditions of the destination that only its pages could clear; false where it
// has ended by itself meanwhile.
func cancelRun(ctx context.Context, tx *store.Tx, open store.Run, reason, cleared string) (bool, error) {
	if err := tx.CancelOpenRun(ctx, open.Customer, reason); err != nil {
		return false, err
	}
	run, err := tx.Run(ctx, open.ID)
	if err != nil || run.State != store.RunCancelled {
		return false, err
	}
	if err := clearDestination(ctx, tx, open.Customer, cleared); err != nil {
		return false, err
	}
	return true, tellRun(ctx, tx, open.Customer, open.ID, event.BackfillCancelled, func(now time.Time) proto.Message {
		return &rollcallv1.BackfillCancelled{CustomerId: open.Customer, RunId: open.ID, Reason: reason, CancelledAt: timestamppb.New(now)}
	})
}

func clearDestination(ctx context.Context, tx *store.Tx, customer, text string) error {
	return errors.Join(event.Clear(ctx, tx, customer, event.AlertDestinationDown, text),
		event.Clear(ctx, tx, customer, event.AlertDestinationNotPublic, text),
		event.Clear(ctx, tx, customer, event.AlertDestinationAuthFailed, text))
}

// describe shows the run as the transaction leaves it.
func describe(ctx context.Context, tx *store.Tx, customer store.Customer, id int64, done *report.BackfillCommanded) error {
	run, err := tx.Run(ctx, id)
	if err != nil {
		return err
	}
	owed, err := tx.RewriteOwed(ctx, customer.ID)
	if err != nil {
		return err
	}
	done.Backfill, done.NotBackfilled, done.RewriteUnfinished = report.BackfillOf(run), customer.BackfillCompletedAt == nil, owed != nil
	return nil
}

// tellRun tells what an operator did to a run. The same may happen to a run again: the time is part of the id.
func tellRun(ctx context.Context, tx *store.Tx, customer string, run int64, name string, of func(now time.Time) proto.Message) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	id := name + "-" + strconv.FormatInt(run, 10) + "-" + strconv.FormatInt(now.UnixMicro(), 10)
	return tell(ctx, tx, event.Fact{Name: name, Customer: customer, ID: id, Data: of(now)})
}

func standing(run store.Run) string {
	if run.State == store.RunParked && run.ParkReason != "" {
		return string(run.State) + " (" + run.ParkReason + ")"
	}
	return string(run.State)
}

func noBackfill(customer store.Customer) error {
	return conflict("customer %q has no backfill under way", customer.ID)
}

func switchedOff(customer store.Customer) error {
	if customer.OffboardedAt != nil {
		return conflict("customer %q was offboarded: onboard it again first", customer.ID)
	}
	return conflict("customer %q is switched off: give it a VOMO token that works first, with rollcall config set %s --vomo-token-file <file>",
		customer.ID, customer.ID)
}

func conflict(format string, args ...any) error {
	return &service.ConflictError{Text: fmt.Sprintf(format, args...)}
}
