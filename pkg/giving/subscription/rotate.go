package subscription

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

// Rotate gives the customer's subscription another secret, and sends its URL and events again. Both secrets are valid until Virtuous has said
// that it has the new one, and for a day after that. After an error the caller may rotate again: a rotation whose end is not known is then
// continued with the same secret. Errors: as Verify, and ErrNone.
func (s *Subscriptions) Rotate(ctx context.Context, customer string) (store.Subscription, error) {
	payloadURL, err := s.payloadURL(customer)
	if err != nil {
		return store.Subscription{}, err
	}
	client, err := s.open(ctx, customer)
	if err != nil {
		return store.Subscription{}, err
	}
	rotated, err := s.beginRotation(ctx, customer)
	if err != nil {
		return store.Subscription{}, err
	}
	wanted, err := s.one(ctx, customer, payloadURL, rotated.VirtuousID)
	if err != nil {
		return store.Subscription{}, err
	}
	if err := client.UpdateSubscription(ctx, wanted); err != nil {
		return store.Subscription{}, err
	}
	rotated.PayloadURL, rotated.Toggles, rotated.RotatingSince = payloadURL, toggles(), nil
	changed, err := s.Store.EndRotation(context.WithoutCancel(ctx), rotated)
	if err == nil && !changed {
		err = ErrNone
	}
	if err != nil {
		return store.Subscription{}, fmt.Errorf("store the end of the rotation: %w", err)
	}
	s.Logger.Info("webhook secret rotated", zap.String("customer", customer), zap.Int64("virtuous_webhook_id", rotated.VirtuousID))
	return rotated, nil
}

// beginRotation stores a new secret, unless there is one that Virtuous may not have yet.
func (s *Subscriptions) beginRotation(ctx context.Context, customer string) (rotated store.Subscription, err error) {
	err = s.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil { // an offboarding destroys the key
			return err
		}
		rotated, err = tx.LockSubscription(ctx, customer)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return ErrNone
		case err != nil:
			return err
		case rotated.State != store.SubscriptionActive:
			return ErrUnderWay
		case rotated.RotatingSince != nil:
			return nil
		}
		if err := s.replaceSecret(ctx, tx, customer); err != nil {
			return err
		}
		return tx.BeginRotation(ctx, rotated.ID)
	})
	return rotated, err
}
