package main

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
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	operationRedriven = "dlq_redriven"
	redriveTimeout    = 5 * time.Second // below the time that a transaction may idle
)

// redriver does what operators ask of letters.
type redriver struct {
	store     *store.Store
	vault     *vault.Vault
	publisher *bus.Publisher
	logger    *zap.Logger
	// asked is called after a commit that asked for these customers' letters, or settled some: the loops look at once.
	asked func(customers ...string)
}

// redriveMessage publishes the bytes of a message letter to their subject anew, and settles the letter. It holds the
// letter's row all the while: of two at once, one finds it settled.
//
// Errors: store.ErrNotFound; *service.ConflictError where it cannot be done, with the letter left as it was; any other
// may be tried again. Published twice in a row by crashes, the second is recognised by its id within the stream's
// window, which is that of the letter's attempt: at least once, idempotent by what its reader keeps.
func (r *redriver) redriveMessage(ctx context.Context, id uuid.UUID) error {
	err := r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, id)
		if err != nil {
			return err
		}
		message, err := r.open(ctx, letter)
		if err != nil {
			return err
		}
		bounded, cancel := context.WithTimeout(ctx, redriveTimeout)
		defer cancel()
		ack := r.publisher.PublishAcked(bounded, []bus.Outgoing{message})[0]
		switch {
		case errors.Is(ack.Err, bus.ErrSubjectBusy):
			return &service.ConflictError{Text: "a message stands there already: " + letter.OriginalSubject + " takes one at a time; try again when it is worked"}
		case ack.Err != nil:
			return fmt.Errorf("publish letter's message: %w", ack.Err)
		case ack.Duplicate:
			// Of this letter's attempt: it was published before, and what should have followed was not.
			r.logger.Info("letter's message had been published", zap.Stringer("letter", letter.ID), zap.Uint64("sequence", ack.Sequence))
		}
		if err := tx.SettleLetter(ctx, letter, store.SettledRedriven, operationRedriven); err != nil {
			return err
		}
		return deadletter.ClearOnboarding(ctx, tx, letter.Customer)
	})
	if err != nil {
		return err
	}
	r.logger.Info("message redriven", zap.Stringer("letter", id))
	r.asked()
	return nil
}

// open returns the message that the letter was opened for, with its headers, as it is to be published again.
func (r *redriver) open(ctx context.Context, letter store.Letter) (bus.Outgoing, error) {
	switch {
	case !letter.Open():
		return bus.Outgoing{}, &service.ConflictError{Text: "the letter is settled"}
	case letter.Kind != deadletter.KindMessage:
		return bus.Outgoing{}, &service.ConflictError{Text: "the letter is a record's: it is retried, not redriven"}
	case letter.Customer == rollcallv1.UnknownCustomer:
		return bus.Outgoing{}, &service.ConflictError{Text: "the message named no customer, and where it was published is not known: " +
			"publish it again, as it should be, and discard the letter"}
	}
	payload, err := r.unseal(ctx, letter.Customer, deadletter.PurposePayload, letter.PayloadSealed)
	if err != nil {
		return bus.Outgoing{}, err
	}
	var headers []byte
	if letter.HeadersSealed != nil {
		if headers, err = r.unseal(ctx, letter.Customer, deadletter.PurposeHeaders, letter.HeadersSealed); err != nil {
			return bus.Outgoing{}, err
		}
	}
	original, err := deadletter.RedriveHeaders(letter.ID, headers)
	// A new id each time: the stream would take the original one for a duplicate, and drop it.
	return bus.Outgoing{
		Subject: letter.OriginalSubject, Payload: payload, Original: original,
		ID: "redrive-" + letter.ID.String() + "-" + strconv.Itoa(letter.Attempts),
	}, err
}

func (r *redriver) unseal(ctx context.Context, customer, purpose string, sealed []byte) ([]byte, error) {
	plain, err := r.vault.Open(ctx, customer, purpose, sealed)
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
