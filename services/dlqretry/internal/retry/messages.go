package retry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	operationRedriven = "dlq_redriven"
	redriveTimeout    = 5 * time.Second // below the time that a transaction may idle
)

// Messages redrives the letters of messages.
type Messages struct {
	Store     *store.Store
	Vault     *vault.Vault
	Publisher *bus.Publisher
	Logger    *zap.Logger
	Changed   func() // called after a commit that changed letters
}

// Redrive publishes the message of a letter again, on its original subject, and settles the letter. It locks the letter's
// row meanwhile, so that of two calls one finds the letter settled.
//
// Errors: store.ErrNotFound; *service.ConflictError if it cannot be done, and then the letter stays as it was; any other
// error may be tried again. If a crash has the message published twice, the stream recognises the second one by the id of
// the letter's attempt, within its window: at least once, idempotent by what the message's reader stores.
func (r *Messages) Redrive(ctx context.Context, id uuid.UUID) error {
	return r.RedriveWith(ctx, id, func(context.Context, *store.Tx) error { return nil })
}

// RedriveWith is Redrive with something else that is stored in the same transaction. If storing it fails, nothing is published.
func (r *Messages) RedriveWith(ctx context.Context, id uuid.UUID, with func(ctx context.Context, tx *store.Tx) error) error {
	err := r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, id)
		if err != nil {
			return err
		}
		message, err := r.open(ctx, letter)
		if err != nil {
			return err
		}
		if err := with(ctx, tx); err != nil {
			return err
		}
		bounded, cancel := context.WithTimeout(ctx, redriveTimeout)
		defer cancel()
		ack := r.Publisher.PublishAcked(bounded, []bus.Outgoing{message})[0]
		switch {
		case errors.Is(ack.Err, bus.ErrSubjectBusy):
			return &service.ConflictError{Text: "a message is there already: " + letter.OriginalSubject + " holds one at a time; try again when it is done"}
		case ack.Err != nil:
			return fmt.Errorf("publish letter's message: %w", ack.Err)
		case ack.Duplicate:
			// A crash came after the publish and before the commit.
			r.Logger.Info("letter's message had been published", zap.Stringer("letter", letter.ID), zap.Uint64("sequence", ack.Sequence))
		}
		if err := tx.SettleLetter(ctx, letter, store.SettledRedriven, operationRedriven); err != nil {
			return err
		}
		return messageletter.ClearOnboarding(ctx, tx, letter.Customer)
	})
	if err != nil {
		return err
	}
	r.Logger.Info("message redriven", zap.Stringer("letter", id))
	r.Changed()
	return nil
}

// open returns the letter's message with its headers, ready to be published again.
func (r *Messages) open(ctx context.Context, letter store.Letter) (bus.Outgoing, error) {
	switch {
	case !letter.Open():
		return bus.Outgoing{}, &service.ConflictError{Text: "the letter is settled"}
	case !deadletter.HoldsMessage(letter.Kind):
		return bus.Outgoing{}, &service.ConflictError{Text: "the letter is a record's: it is retried, not redriven"}
	case letter.Customer == rollcallv1.UnknownCustomer:
		return bus.Outgoing{}, &service.ConflictError{Text: "the message names no customer, and its subject is unknown: " +
			"publish it again as it should be, and discard the letter"}
	}
	payload, err := r.unseal(ctx, letter.Customer, messageletter.PurposePayload, letter.PayloadSealed)
	if err != nil {
		return bus.Outgoing{}, err
	}
	var headers []byte
	if letter.HeadersSealed != nil {
		if headers, err = r.unseal(ctx, letter.Customer, messageletter.PurposeHeaders, letter.HeadersSealed); err != nil {
			return bus.Outgoing{}, err
		}
	}
	original, err := messageletter.RedriveHeaders(letter.ID, headers)
	// Each attempt has a new id: the stream would drop the original id as a duplicate.
	return bus.Outgoing{
		Subject: letter.OriginalSubject, Payload: payload, Original: original,
		ID: "redrive-" + letter.ID.String() + "-" + strconv.Itoa(letter.Attempts),
	}, err
}

func (r *Messages) unseal(ctx context.Context, customer, purpose string, sealed []byte) ([]byte, error) {
	plain, err := r.Vault.Open(ctx, customer, purpose, sealed)
	switch {
	case errors.Is(err, vault.ErrKeyGone):
		return nil, &service.ConflictError{Text: "the customer's key is gone, and the message with it: discard the letter"}
	case errors.Is(err, vault.ErrForeign):
		return nil, &service.ConflictError{Text: "the message does not open: its sealed bytes are damaged"}
	case err != nil:
		return nil, fmt.Errorf("open letter's message: %w", err)
	}
	return plain, nil
}
