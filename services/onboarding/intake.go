package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// purposeSecrets is what a request's sealed secrets are sealed for.
const purposeSecrets = "onboarding_request"

// intake takes messages off ROLLCALL_ONBOARDING. Every way out of it first commits what became of the message
// and then erases its bytes from the stream: they may hold a token.
type intake struct {
	store         *store.Store
	vault         *vault.Vault
	letters       *deadletter.Opener
	attempts      *attempts
	logger        *zap.Logger
	created       func(ctx context.Context, stream string) (time.Time, error)
	erase         func(ctx context.Context, sequence uint64) error
	wakeSettler   func()
	requireSealed bool
	private       destination.PrivateAccess
}

// handle works a message. What fails on our side, as Postgres or the key service being away, is not the message's fault,
// and is tried for ever; only a message under which the process dies, or panics, becomes a letter.
func (i *intake) handle(ctx context.Context, delivery *worker.Delivery) error {
	created, err := i.created(ctx, delivery.Stream)
	if err != nil {
		return err
	}
	attempt, tooMany, err := i.attempts.begin(ctx, deadletter.OriginOf(delivery.Stream, created, delivery.Sequence))
	if err != nil {
		return err
	}
	err = i.work(ctx, delivery, created, tooMany)
	i.attempts.end(ctx, attempt) // not deferred: a panic is no end
	return err
}

// work commits what becomes of the message, and erases it.
func (i *intake) work(ctx context.Context, delivery *worker.Delivery, created time.Time, tooMany bool) error {
	if err := i.commit(ctx, delivery, created, tooMany); err != nil {
		return err
	}
	customer := bus.CustomerOf(delivery.Subject)
	if !rollcallv1.ValidCustomerID(customer) {
		customer = rollcallv1.UnknownCustomer
	}
	err := i.erase(ctx, delivery.Sequence)
	if errors.Is(err, bus.ErrNotErasable) {
		// It would come again for ever. The ack takes it out of the stream, though not out of the stream's files.
		i.logger.Error("message not erased", zap.String("customer", customer), zap.Uint64("sequence", delivery.Sequence), zap.Error(err))
		return i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return event.Raise(ctx, tx, event.AlertFor(customer, event.AlertMessageNotErased))
		})
	}
	if err != nil {
		return err
	}
	if err := i.erasedAgain(ctx, customer); err != nil {
		i.logger.Warn("alert not cleared", zap.String("customer", customer), zap.Error(err))
	}
	return worker.ErrSettled
}

// erasedAgain clears the alert of an earlier message that could not be erased.
func (i *intake) erasedAgain(ctx context.Context, customer string) error {
	active, err := i.store.AlertStands(ctx, customer, event.AlertMessageNotErased)
	if err != nil || !active {
		return err
	}
	return i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return event.Clear(ctx, tx, customer, event.AlertMessageNotErased,
			"A later message was erased. If the earlier one had a token in the clear, have it replaced.")
	})
}

// commit brings the message to rest in Postgres. It is idempotent by the message's origin.
func (i *intake) commit(ctx context.Context, delivery *worker.Delivery, created time.Time, tooMany bool) error {
	customer := bus.CustomerOf(delivery.Subject)
	if !rollcallv1.ValidCustomerID(customer) {
		i.logger.Warn("message for no readable customer became a letter", zap.Uint64("sequence", delivery.Sequence))
		return i.letters.OpenMessage(ctx, delivery, fault.Permanent("customer_unreadable", errors.New("the subject names no readable customer")))
	}
	if tooMany {
		// Not by the worker's own way to a letter: that acks the message, and an acked message can no longer be erased.
		i.logger.Error("message becomes a letter: attempts at it ended with a crash or a panic", zap.Uint64("sequence", delivery.Sequence),
			zap.Int("attempts", maxUnended))
		return i.letters.OpenMessage(ctx, delivery, fault.Permanent("too_many_deliveries", errors.New("too many attempts ended with a crash or a panic")))
	}
	origin := store.Origin{StreamCreated: created, Sequence: delivery.Sequence}
	if bus.IsOffboard(delivery.Subject) {
		return i.offboard(ctx, origin, customer, delivery.Data)
	}
	request := &rollcallv1.OnboardingRequest{}
	errs := rollcallv1.Decode(delivery.Data, request)
	var secrets requestSecrets
	var err error
	if len(errs) == 0 {
		errs = request.Validate(customer, i.requireSealed)
		checkDestination(errs, request, i.private)
		window.Check(errs, request.GetQuietHours())
	}
	if len(errs) == 0 {
		if secrets, err = i.takeSecrets(ctx, request, errs); err != nil {
			return err
		}
	}
	if len(errs) > 0 {
		return i.reject(ctx, origin, customer, errs)
	}
	return i.keep(ctx, origin, customer, request, secrets)
}

// keep stores a request that validates, its secrets sealed, as pending.
func (i *intake) keep(ctx context.Context, origin store.Origin, customer string, request *rollcallv1.OnboardingRequest, secrets requestSecrets) error {
	encoded, err := rollcallv1.Encode(request)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return fmt.Errorf("encode secrets: %w", err)
	}
	sealed, err := i.vault.Seal(ctx, customer, purposeSecrets, plain)
	if err != nil {
		return fmt.Errorf("seal secrets: %w", err)
	}
	err = i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.AddPendingRequest(ctx, origin, customer, encoded, sealed)
		return err
	})
	if err != nil {
		return err
	}
	i.logger.Info("onboarding requested", zap.String("customer", customer), zap.Uint64("sequence", origin.Sequence))
	i.wakeSettler()
	return nil
}

// reject stores a refused message with its errors and tells them: one onboarding.rejected a message.
func (i *intake) reject(ctx context.Context, origin store.Origin, customer string, errs rollcallv1.FieldErrors) error {
	encoded, err := json.Marshal(errs)
	if err != nil {
		return fmt.Errorf("encode errors: %w", err)
	}
	err = i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		added, err := tx.AddRejectedRequest(ctx, origin, customer, encoded)
		if err != nil || !added {
			return err
		}
		return tellRejected(ctx, tx, origin, customer, errs)
	})
	if err != nil {
		return err
	}
	i.logger.Warn("onboarding rejected", zap.String("customer", customer), zap.Uint64("sequence", origin.Sequence), zap.Error(errs))
	return nil
}

// offboard ends a customer's mirror: no job runs any more, the credentials are gone.
func (i *intake) offboard(ctx context.Context, origin store.Origin, customer string, data []byte) error {
	request := &rollcallv1.OffboardRequest{}
	errs := rollcallv1.Decode(data, request)
	if len(errs) == 0 {
		errs = request.Validate(customer)
	}
	if len(errs) > 0 {
		return i.reject(ctx, origin, customer, errs)
	}
	var known bool
	err := i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// The row makes a redelivery harmless: the customer may have come back since.
		id, added, err := tx.AddPendingRequest(ctx, origin, customer, nil, nil)
		if err != nil || !added {
			return err
		}
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		later, err := tx.RequestAppliedAfter(ctx, customer, origin)
		if err != nil {
			return err
		}
		if later {
			_, err := tx.SettleRequest(ctx, id, store.RequestSuperseded, nil)
			return err
		}
		// The lane first, as in a page's transaction: in another order the two could wait for each other.
		if err := tx.FenceLane(ctx, customer); err != nil {
			return err
		}
		// The conditions before the customer's row, as in every transaction of a job.
		if err := clearAll(ctx, tx, customer, "The customer was offboarded."); err != nil {
			return err
		}
		if known, err = tx.OffboardCustomer(ctx, customer); err != nil {
			return err
		}
		if err := tx.CancelOpenRun(ctx, customer, "offboarded"); err != nil {
			return err
		}
		if err := tx.DropSyncRuns(ctx, customer, "offboarded"); err != nil {
			return err
		}
		if _, err := tx.SettleRequest(ctx, id, store.RequestApplied, nil); err != nil {
			return err
		}
		return tx.SupersedeOlderRequests(ctx, customer, origin)
	})
	if err != nil {
		return err
	}
	i.logger.Info("offboarding done", zap.String("customer", customer), zap.Bool("known", known))
	return nil
}
