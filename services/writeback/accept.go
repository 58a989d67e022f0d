package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// kindUser is the kind of this service's review items.
const kindUser = store.KindUser

// accepter stores the values of messages in the rows of their users.
type accepter struct {
	vault     *vault.Vault
	customers *intake.Customers
	logger    *zap.Logger
	metrics   *metrics
	wake      func()
}

// accept stores what a message asks for. It is idempotent by the time at which the message was published.
func (a *accepter) accept(ctx context.Context, message intake.Message) error {
	customer, ok, err := a.customers.Of(ctx, message)
	if err != nil || !ok {
		return err
	}
	request := &rollcallv1.WritebackRequest{}
	errs := rollcallv1.Decode(message.Data, request)
	if len(errs) == 0 {
		errs = request.Validate(customer)
	}
	if len(errs) > 0 {
		return a.customers.GiveUp(ctx, message, "writeback_invalid", errs)
	}
	return a.merge(ctx, customer, message, request)
}

// merge stores the request's values, over older ones that were not written yet.
func (a *accepter) merge(ctx context.Context, customer string, message intake.Message, request *rollcallv1.WritebackRequest) error {
	seal, err := a.vault.Sealer(ctx, customer, purposeValues)
	if err != nil {
		return fmt.Errorf("open customer's key: %w", err)
	}
	open, err := a.vault.Opener(ctx, customer, purposeValues)
	if err != nil {
		return fmt.Errorf("open customer's key: %w", err)
	}
	outcome := "accepted"
	done, err := a.customers.Commit(ctx, customer, message, func(ctx context.Context, tx *store.Tx) error {
		row, isNew, err := lockRow(ctx, tx, customer, request)
		if err != nil {
			return err
		}
		kept, err := keptValues(row, open)
		if err != nil {
			return err
		}
		if !kept.newerOf(row.Stamps, request.Values(), message.Published.UnixNano()) {
			outcome = "obsolete"
			return nil
		}
		plain, err := kept.encode()
		if err != nil {
			return err
		}
		if row.Sealed, err = seal(plain); err != nil {
			return fmt.Errorf("seal values: %w", err)
		}
		if isNew {
			return tx.AddWriteback(ctx, customer, row)
		}
		if err := tx.MergeWriteback(ctx, row); err != nil {
			return err
		}
		return supersede(ctx, tx, customer, row)
	})
	if err != nil || !done {
		return err
	}
	a.metrics.accepted(outcome)
	a.logger.Info("write-back accepted", zap.String("customer", customer), zap.Uint64("sequence", message.Sequence), zap.String("outcome", outcome))
	a.wake()
	return nil
}

// keptValues returns the values of a row that were not written yet.
func keptValues(row store.Writeback, open func(sealed []byte) ([]byte, error)) (values, error) {
	if row.Sealed == nil {
		return values{}, nil
	}
	plain, err := open(row.Sealed)
	if errors.Is(err, vault.ErrForeign) { // with the key of a customer who was offboarded, and has returned
		return values{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open values: %w", err)
	}
	return decodeValues(plain)
}

// lockRow returns the user's row, locked, or a new one.
func lockRow(ctx context.Context, tx *store.Tx, customer string, request *rollcallv1.WritebackRequest) (row store.Writeback, isNew bool, err error) {
	vomoID, externalID := request.GetVomoUserId(), request.GetExternalUserId()
	if vomoID == "" {
		users, err := tx.MappedByExternal(ctx, customer, externalID)
		if err != nil {
			return row, false, err
		}
		if len(users) == 1 {
			vomoID = users[0]
		}
	}
	row, err = tx.LockWriteback(ctx, customer, vomoID, externalID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Writeback{VomoID: vomoID, ExternalID: externalID, Stamps: map[string]int64{}}, true, nil
	case err != nil:
		return row, false, err
	case vomoID != "" && row.VomoID != "" && row.VomoID != vomoID:
		// The external id is another user's: the message's own VOMO id decides.
		return store.Writeback{VomoID: vomoID, Stamps: map[string]int64{}}, true, nil
	}
	return row, false, nil
}

// supersede ends what the older values led to.
func supersede(ctx context.Context, tx *store.Tx, customer string, row store.Writeback) error {
	if row.LetterID != nil {
		return tx.SettleLetters(ctx, []uuid.UUID{*row.LetterID}, "superseded")
	}
	if row.State == store.WritebackReview {
		return tx.SupersedeReview(ctx, customer, kindUser, row.ID)
	}
	return nil
}
