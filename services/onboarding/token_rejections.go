package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// tokenRejections returns the watch over rejected tokens of VOMO.
func tokenRejections(s *settler) *rejectionWatch {
	return &rejectionWatch{store: s.store, logger: s.logger, side: rejectingSide{
		name: "VOMO", credential: "token",
		alert: event.AlertVomoRefusesMany, alertCleared: "VOMO accepts tokens again that it had rejected.",
		rejectedLately: s.store.RefusedLately, askedLately: s.store.AskedLately, rejectsMany: s.store.VomoRefusesMany,
		begin:          func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.BeginRefusals(ctx) },
		end:            func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.EndRefusals(ctx) },
		rejectedBySide: s.store.RefusedByVomo, claimTries: s.store.ClaimTokenTries, test: s.isTokenRejected, switchOn: s.switchCustomerOn,
	}}
}

// switchCustomerOn switches a customer on. The order is runs, alert, the customer's row, as in every transaction of a job.
func (s *settler) switchCustomerOn(ctx context.Context, customer string, isAccepted bool) error {
	return s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		current, err := tx.Customer(ctx, customer)
		if err != nil || current.Enabled || current.DisabledReason != event.AlertAuthFailed || current.OffboardedAt != nil {
			return err // a new token came first, or the customer was offboarded
		}
		text := "The rejection was VOMO's fault: it rejected the tokens of many customers at once."
		if isAccepted {
			text = "VOMO accepts the token again."
			if err := job.Unpark(ctx, tx, customer); err != nil {
				return err
			}
			if err := unparkBackfill(ctx, tx, current); err != nil {
				return err
			}
		} else if err := tx.BlameVomo(ctx, customer, job.RefusedMany); err != nil {
			return err
		}
		if err := event.Clear(ctx, tx, customer, event.AlertAuthFailed, text); err != nil {
			return err
		}
		changed, err := tx.SwitchOn(ctx, customer, isAccepted)
		if changed {
			s.logger.Info("customer switched on again", zap.String("customer", customer), zap.String("why", text))
		}
		return err
	})
}

// unparkBackfill makes the customer's parked backfill due at once, unless its window is closed.
func unparkBackfill(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	unparked, err := tx.UnparkRuns(ctx, customer.ID, store.KindBackfill)
	if err != nil || len(unparked) == 0 {
		return err
	}
	wait, err := putOff(ctx, tx, customer)
	if err != nil || wait.Needed() {
		return err
	}
	return publishRequest(ctx, tx, unparked[0])
}

// isTokenRejected tests the token of a switched-off customer.
func (s *settler) isTokenRejected(ctx context.Context, id string) (bool, error) {
	customer, err := s.store.Customer(ctx, id)
	if err != nil {
		return false, err
	}
	sealed, err := s.store.Credential(ctx, id, store.CredentialVomoToken)
	if err != nil {
		return false, err
	}
	token, err := s.vault.Open(ctx, id, store.CredentialVomoToken, sealed)
	if err != nil {
		return false, fmt.Errorf("open the token: %w", err)
	}
	_, err = s.testToken(ctx, id, string(token), s.limits.With(customer.RequestsPerSecond, customer.RequestsPerMinute))
	if errors.Is(err, vomo.ErrUnauthorized) || errors.Is(err, vomo.ErrForbidden) {
		return true, nil
	}
	return false, err
}
