package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

// continueAfter is when a rotation is continued without being asked for: the caller has its answer before, or has died.
const continueAfter = time.Minute

// Rotate gives the customer's subscription another secret, and sends its URL and events again. Both secrets are valid until Virtuous has said
// that it has the new one, and for a day after that. After an error the caller may rotate again: a rotation whose end is not known is then
// continued with the same secret. If the caller does not, the service onboarding does. Errors: as Verify, and ErrNone.
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
	began := *rotated.RotatingSince
	rotated.PayloadURL, rotated.Toggles, rotated.RotatingSince = payloadURL, toggles(), nil
	changed, err := s.Store.EndRotation(context.WithoutCancel(ctx), rotated, began)
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
		since, err := tx.BeginRotation(ctx, rotated.ID, continueAfter)
		rotated.RotatingSince = &since
		return err
	})
	return rotated, err
}
