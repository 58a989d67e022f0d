package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// keyRejections returns the watch over rejected keys of Virtuous.
func keyRejections(s *settler) *rejectionWatch {
	return &rejectionWatch{store: s.store, logger: s.logger, side: rejectingSide{
		name: "Virtuous", credential: "key",
		alert: event.AlertVirtuousRefusesMany, alertCleared: "Virtuous accepts keys again that it had rejected.",
		rejectedLately: s.store.KeysRefusedLately, askedLately: s.store.KeysAskedLately, rejectsMany: s.store.VirtuousRefusesMany,
		begin:          func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.BeginKeyRefusals(ctx) },
		end:            func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.EndKeyRefusals(ctx) },
		rejectedBySide: s.store.KeysRefusedByVirtuous, claimTries: s.store.ClaimKeyTries, test: s.isKeyRejected, switchOn: s.switchGivingOn,
	}}
}

// switchGivingOn enables a customer's giving that was switched off for its key.
func (s *settler) switchGivingOn(ctx context.Context, customer string, isAccepted bool) error {
	return s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		config, err := tx.VirtuousConfig(ctx, customer)
		if err != nil || config.DisabledReason != store.GivingAuthFailed {
			return err // a new key came first, or giving was removed
		}
		text := "The rejection was the fault of Virtuous: it rejected the keys of many customers at once."
		if isAccepted {
			text = "Virtuous accepts the key again."
		}
		if err := event.Clear(ctx, tx, customer, event.AlertVirtuousAuthFailed, text); err != nil {
			return err
		}
		changed, err := tx.SwitchGivingOn(ctx, customer, isAccepted)
		if changed {
			s.logger.Info("giving switched on again", zap.String("customer", customer), zap.String("why", text))
		}
		return err
	})
}

// isKeyRejected tests the key of a customer whose giving is switched off.
func (s *settler) isKeyRejected(ctx context.Context, customer string) (bool, error) {
	client, err := s.virtuous.OpenToTest(ctx, customer, jobOnboard)
	if err == nil {
		_, err = client.Organization(ctx)
	}
	if errors.Is(err, virtuous.ErrUnauthorized) || errors.Is(err, virtuous.ErrForbidden) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("test the key: %w", err)
	}
	return false, nil
}
