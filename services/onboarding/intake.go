package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	messageintake "rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// purposeSecrets is the purpose for which a request's secrets are sealed.
const purposeSecrets = "onboarding_request"

// intake handles the messages of ROLLCALL_ONBOARDING. It always commits the outcome of a message first, and then erases the
// message from the stream, because it may contain a token.
type intake struct {
	store         *store.Store
	vault         *vault.Vault
	letters       *messageletter.Opener
	logger        *zap.Logger
	messages      *messageintake.Intake
	wakeSettler   func()
	requireSealed bool
	private       destination.PrivateAccess
	offboarder    *offboarder

	queuedDonations func(ctx context.Context, customer string) (uint64, error) // in ROLLCALL_DONATIONS
	source          string                                                     // VIRTUOUS_TRANSACTION_SOURCE
}

// handle handles a message: its outcome is committed and audited, and then it is erased.
func (i *intake) handle(ctx context.Context, delivery *worker.Delivery) error {
	return i.messages.Handle(ctx, delivery, func(ctx context.Context, message messageintake.Message) error {
		act := operatoraudit.MessageAct(delivery, verbOf(delivery.Subject), bus.CustomerOf(delivery.Subject), store.ActDone, "")
		if err := i.commit(ctx, delivery, message.Created, message.TooMany, &act); err != nil {
			return err
		}
		_, err := i.store.NoteAct(ctx, act)
		return err
	})
}

// verbOf returns the name of a message in operator_audit.
func verbOf(subject string) string {
	if bus.IsOffboard(subject) {
		return "onboarding.offboard"
	}
	return "onboarding.request"
}

// commit stores the outcome of the message in Postgres, and fills in the act. It is idempotent by the message's origin.
func (i *intake) commit(ctx context.Context, delivery *worker.Delivery, created time.Time, tooMany bool, act *store.Act) error {
	customer := bus.CustomerOf(delivery.Subject)
	if !rollcallv1.ValidCustomerID(customer) {
		i.logger.Warn("message without a valid customer id became a letter", zap.Uint64("sequence", delivery.Sequence))
		act.Outcome, act.Code = store.ActRejected, codeCustomerUnreadable
		return i.letters.OpenMessage(ctx, delivery, fault.Permanent(codeCustomerUnreadable, errors.New("the subject contains no valid customer id")))
	}
	origin := store.Origin{StreamCreated: created, Sequence: delivery.Sequence}
	later, err := i.store.RequestAppliedAfter(ctx, customer, origin)
	if err != nil {
		return err
	}
	if later == store.BothSides() { // nothing of the message is kept: since an offboarding, the customer has no key that could seal it
		return i.supersede(ctx, origin, customer, store.BothSides(), act)
	}
	if tooMany {
		// The worker must not open the letter itself: it would acknowledge the message, which can then no longer be erased.
		i.logger.Error("message became a letter: too many attempts ended with a crash or a panic", zap.Uint64("sequence", delivery.Sequence))
		act.Outcome, act.Code = store.ActFailed, codeTooManyDeliveries
		return i.letters.OpenMessage(ctx, delivery, fault.Permanent(codeTooManyDeliveries, errors.New("too many attempts ended with a crash or a panic")))
	}
	if bus.IsOffboard(delivery.Subject) {
		return i.offboard(ctx, delivery, origin, customer, act)
	}
	request := &rollcallv1.OnboardingRequest{}
	errs := rollcallv1.Decode(delivery.Data, request)
	var secrets requestSecrets
	if len(errs) == 0 {
		errs = request.Validate(customer, i.requireSealed)
		i.checkSource(errs, request)
		checkDestination(errs, request, i.private)
		window.Check(errs, request.GetQuietHours())
	}
	if len(errs) == 0 {
		if secrets, err = i.extractSecrets(ctx, request, errs); err != nil {
			return err
		}
	}
	if len(errs) > 0 {
		return i.reject(ctx, origin, customer, errs, act)
	}
	sides := sidesOf(request, secrets)
	if sides.Without(later).None() {
		return i.supersede(ctx, origin, customer, sides, act)
	}
	encoded, err := rollcallv1.Encode(request) // without its secrets
	if err != nil {
		return err
	}
	if act.Filter, err = operatoraudit.FilterOf(json.RawMessage(encoded)); err != nil {
		return err
	}
	return i.storePending(ctx, origin, customer, sides, encoded, secrets)
}

// Codes of messages that led to no request.
const (
	codeCustomerUnreadable = "customer_unreadable"
	codeTooManyDeliveries  = "too_many_deliveries"
	codeInvalid            = "invalid"
)

// storePending stores a valid request as pending, with its secrets sealed.
func (i *intake) storePending(ctx context.Context, origin store.Origin, customer string, sides store.Sides, encoded []byte, secrets requestSecrets) error {
	plain, err := json.Marshal(secrets)
	if err != nil {
		return fmt.Errorf("encode secrets: %w", err)
	}
	err = i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// An offboarding destroys the key, and holds this lock. So the key that seals the secrets is there when they are stored.
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		later, err := tx.RequestAppliedAfter(ctx, customer, origin)
		if err != nil {
			return err
		}
		if sides.Without(later).None() {
			return addSuperseded(ctx, tx, origin, customer, sides)
		}
		sealed, err := i.vault.On(tx.Conn).Seal(ctx, customer, purposeSecrets, plain)
		if err != nil {
			return fmt.Errorf("seal secrets: %w", err)
		}
		_, _, err = tx.AddPendingRequest(ctx, origin, customer, sides, encoded, sealed)
		return err
	})
	if err != nil {
		return err
	}
	i.logger.Info("onboarding requested", zap.String("customer", customer), zap.Uint64("sequence", origin.Sequence))
	i.wakeSettler()
	return nil
}

// supersede stores that a message came after a newer one was applied. It changes nothing, whatever it says.
func (i *intake) supersede(ctx context.Context, origin store.Origin, customer string, sides store.Sides, act *store.Act) error {
	act.Result = json.RawMessage(`{"superseded":true}`)
	err := i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return addSuperseded(ctx, tx, origin, customer, sides) })
	if err == nil {
		i.logger.Info("message superseded by a newer one", zap.String("customer", customer), zap.Uint64("sequence", origin.Sequence))
	}
	return err
}

func addSuperseded(ctx context.Context, tx *store.Tx, origin store.Origin, customer string, sides store.Sides) error {
	id, added, err := tx.AddPendingRequest(ctx, origin, customer, sides, nil, nil)
	if err != nil || !added {
		return err
	}
	_, err = tx.SettleRequest(ctx, id, store.RequestSuperseded, nil)
	return err
}

// reject stores a rejected message with its errors and publishes one onboarding.rejected.
func (i *intake) reject(ctx context.Context, origin store.Origin, customer string, errs rollcallv1.FieldErrors, act *store.Act) error {
	act.Outcome, act.Code = store.ActRejected, codeInvalid
	encoded, err := json.Marshal(errs)
	if err != nil {
		return fmt.Errorf("encode errors: %w", err)
	}
	err = i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		added, err := tx.AddRejectedRequest(ctx, origin, customer, encoded)
		if err != nil || !added {
			return err
		}
		return publishRejected(ctx, tx, origin, customer, errs)
	})
	if err != nil {
		return err
	}
	i.logger.Warn("onboarding rejected", zap.String("customer", customer), zap.Uint64("sequence", origin.Sequence), zap.Error(errs))
	return nil
}
