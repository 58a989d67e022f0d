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
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// operators runs operators' commands. Each command is one transaction with its events, and a log line. pkg/service audits who
// asked.
type operators struct {
	store    *store.Store
	vault    *vault.Vault
	logger   *zap.Logger
	holder   string
	leaseFor time.Duration
	patience time.Duration // how long a change of the destination waits for the lane
	private  destination.PrivateAccess
	limits   budget.Limits // the installation's
	source   string        // VIRTUOUS_TRANSACTION_SOURCE

	publicURL string // WEBHOOK_PUBLIC_URL
}

// command runs a command on an onboarded customer, one at a time for each customer.
func (o *operators) command(ctx context.Context, verb, id string, do func(ctx context.Context, tx *store.Tx, customer store.Customer) error) error {
	if err := checkCustomerID(id); err != nil {
		return err
	}
	err := o.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return onCustomer(ctx, tx, id, do) })
	if err == nil {
		o.logger.Info("operator's command done", zap.String("customer", id), zap.String("verb", verb))
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

// startBackfill queues a full read of a customer, or resumes a paused one.
func (o *operators) startBackfill(ctx context.Context, question operatorapi.BackfillCommand) (operatorapi.BackfillCommanded, error) {
	var done operatorapi.BackfillCommanded
	err := o.command(ctx, "backfill start", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		switch {
		case !customer.Enabled:
			return errSwitchedOff(customer)
		case !customer.Mirrors():
			return conflict("customer %q has no mirror: there is nothing to backfill", customer.ID)
		case customer.PausedAt != nil:
			return conflict("customer %q is paused: resume it first, with rollcall resume %s", customer.ID, customer.ID)
		}
		open, err := tx.OpenRun(ctx, customer.ID, store.KindBackfill)
		var id int64
		switch {
		case errors.Is(err, store.ErrNotFound):
			if id, err = startRun(ctx, tx, customer, question.Rewrite); err != nil {
				return err
			}
			done.Action = operatorapi.BackfillStarted
		case err != nil:
			return err
		case open.State != store.RunPaused:
			return conflict("backfill %d of %q is %s and continues by itself; `rollcall backfill cancel` ends it", open.ID, customer.ID, stateOf(open))
		case question.Rewrite && open.Rewrite == nil:
			return conflict("backfill %d of %q is paused and does not rewrite: resume it without --rewrite, or cancel it first", open.ID, customer.ID)
		default:
			if _, err := tx.ResumeBackfill(ctx, customer.ID); err != nil {
				return err
			}
			id, done.Action = open.ID, operatorapi.BackfillResumed
			if err := publishRunEvent(ctx, tx, customer.ID, id, event.BackfillResumed, func(now time.Time) proto.Message {
				return &rollcallv1.BackfillResumed{CustomerId: customer.ID, RunId: id, ResumedAt: timestamppb.New(now)}
			}); err != nil {
				return err
			}
		}
		if err := publishRequest(ctx, tx, backfillOf(customer.ID, id)); err != nil {
			return err
		}
		return describe(ctx, tx, customer, id, &done)
	})
	return done, err
}

// backfillOf names a backfill whose trace is that of the command.
func backfillOf(customer string, id int64) store.RunRef {
	return store.RunRef{ID: id, Customer: customer, Kind: store.KindBackfill}
}

func startRun(ctx context.Context, tx *store.Tx, customer store.Customer, rewrite bool) (id int64, err error) {
	var started bool
	if rewrite {
		id, started, err = tx.StartRewrite(ctx, customer.ID, backfillJob(customer), telemetry.TraceParent(ctx), false)
	} else {
		id, started, err = tx.StartBackfill(ctx, customer.ID, backfillJob(customer), telemetry.TraceParent(ctx))
	}
	if err != nil {
		return 0, err
	}
	if !started {
		return 0, fmt.Errorf("start backfill of %s: another one was started at the same time", customer.ID)
	}
	return id, event.Clear(ctx, tx, customer.ID, event.AlertBackfillFailed, "A new backfill was started.")
}

// pauseBackfill stops a run at its last committed page until startBackfill.
func (o *operators) pauseBackfill(ctx context.Context, question operatorapi.BackfillCommand) (operatorapi.BackfillCommanded, error) {
	var done operatorapi.BackfillCommanded
	err := o.command(ctx, "backfill pause", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		run, err := tx.PauseBackfill(ctx, customer.ID)
		if errors.Is(err, store.ErrNotFound) {
			open, err := tx.OpenRun(ctx, customer.ID, store.KindBackfill)
			if errors.Is(err, store.ErrNotFound) {
				return errNoBackfill(customer)
			}
			if err != nil {
				return err
			}
			done.Action = operatorapi.BackfillAlreadyPaused
			return describe(ctx, tx, customer, open.ID, &done)
		}
		if err != nil {
			return err
		}
		done.Action = operatorapi.BackfillPaused
		if err := publishRunEvent(ctx, tx, customer.ID, run.ID, event.BackfillPaused, func(now time.Time) proto.Message {
			return &rollcallv1.BackfillPaused{CustomerId: customer.ID, RunId: run.ID, PausedAt: timestamppb.New(now)}
		}); err != nil {
			return err
		}
		return describe(ctx, tx, customer, run.ID, &done)
	})
	return done, err
}

// cancelBackfill ends a run permanently.
func (o *operators) cancelBackfill(ctx context.Context, question operatorapi.BackfillCommand) (operatorapi.BackfillCommanded, error) {
	var done operatorapi.BackfillCommanded
	err := o.command(ctx, "backfill cancel", question.CustomerID, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		open, err := tx.OpenRun(ctx, customer.ID, store.KindBackfill)
		if errors.Is(err, store.ErrNotFound) {
			return errNoBackfill(customer)
		}
		if err != nil {
			return err
		}
		cancelled, err := cancelRun(ctx, tx, open, "cancelled", "The backfill that waited for it was cancelled.")
		if err != nil {
			return err
		}
		if !cancelled {
			return errNoBackfill(customer)
		}
		done.Action = operatorapi.BackfillCancelled
		return describe(ctx, tx, customer, open.ID, &done)
	})
	return done, err
}

// cancelRun ends an open run, and clears the alerts of the destination that only its pages could clear. It returns false if
// the run has already ended.
func cancelRun(ctx context.Context, tx *store.Tx, open store.Run, reason, cleared string) (bool, error) {
	if err := tx.CancelBackfill(ctx, open.Customer, reason); err != nil {
		return false, err
	}
	run, err := tx.Backfill(ctx, open.ID)
	if err != nil || run.State != store.RunCancelled {
		return false, err
	}
	if err := clearDestination(ctx, tx, open.Customer, cleared); err != nil {
		return false, err
	}
	return true, publishRunEvent(ctx, tx, open.Customer, open.ID, event.BackfillCancelled, func(now time.Time) proto.Message {
		return &rollcallv1.BackfillCancelled{CustomerId: open.Customer, RunId: open.ID, Reason: reason, CancelledAt: timestamppb.New(now)}
	})
}

func clearDestination(ctx context.Context, tx *store.Tx, customer, text string) error {
	return errors.Join(event.Clear(ctx, tx, customer, event.AlertDestinationDown, text),
		event.Clear(ctx, tx, customer, event.AlertDestinationNotPublic, text),
		event.Clear(ctx, tx, customer, event.AlertDestinationAuthFailed, text))
}

// describe fills in the run as it is after the transaction.
func describe(ctx context.Context, tx *store.Tx, customer store.Customer, id int64, done *operatorapi.BackfillCommanded) error {
	run, err := tx.Backfill(ctx, id)
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

// publishRunEvent publishes the event of an operator's command on a run. The id contains the time, because the same command may
// be given again.
func publishRunEvent(ctx context.Context, tx *store.Tx, customer string, run int64, name string, of func(now time.Time) proto.Message) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	id := name + "-" + strconv.FormatInt(run, 10) + "-" + strconv.FormatInt(now.UnixMicro(), 10)
	return publishFact(ctx, tx, event.Fact{Name: name, Customer: customer, ID: id, Data: of(now)})
}

func stateOf(run store.Run) string {
	if run.State == store.RunParked && run.ParkReason != "" {
		return string(run.State) + " (" + run.ParkReason + ")"
	}
	return string(run.State)
}

func errNoBackfill(customer store.Customer) error {
	return conflict("customer %q has no backfill under way", customer.ID)
}

func errSwitchedOff(customer store.Customer) error {
	if customer.OffboardedAt != nil {
		return conflict("customer %q was offboarded: onboard it again first", customer.ID)
	}
	return conflict("customer %q is switched off: give it a new VOMO token first, with rollcall config set %s --vomo-token-file <file>",
		customer.ID, customer.ID)
}

func conflict(format string, args ...any) error {
	return &service.ConflictError{Text: fmt.Sprintf(format, args...)}
}
