package subscription

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
)

// Remove deletes the customer's subscription at Virtuous, and what an earlier removal left there. It returns what was removed. After an error
// the caller may remove again. The secret stays: deliveries that are on their way are accepted. Errors: ErrNoGiving, ErrPaused, ErrNone, and
// those of package virtuous.
func (s *Subscriptions) Remove(ctx context.Context, customer string) ([]store.Subscription, error) {
	client, err := s.open(ctx, customer)
	if err != nil {
		return nil, err
	}
	if err := s.beginRemoval(ctx, customer); err != nil {
		return nil, err
	}
	known, err := s.Of(ctx, customer)
	if err != nil {
		return nil, err
	}
	var removed []store.Subscription
	var failed error
	for _, one := range known {
		if one.State != store.SubscriptionRemoving {
			continue
		}
		if err := client.DeleteSubscription(ctx, one.VirtuousID); err != nil {
			failed = errors.Join(failed, err, s.Store.NoteRemovalFailed(context.WithoutCancel(ctx), one.ID, fault.CodeOf(err)))
			continue
		}
		if _, err := s.Store.EndSubscription(context.WithoutCancel(ctx), one.ID, one.State, store.SubscriptionRemoved, ""); err != nil {
			return removed, errors.Join(failed, err)
		}
		s.Logger.Info("webhook subscription deleted", zap.String("customer", customer), zap.Int64("virtuous_webhook_id", one.VirtuousID))
		one.State = store.SubscriptionRemoved
		removed = append(removed, one)
	}
	if failed == nil && len(removed) == 0 {
		failed = ErrNone
	}
	return removed, failed
}

func (s *Subscriptions) beginRemoval(ctx context.Context, customer string) error {
	return s.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		_, err := tx.BeginRemoval(ctx, customer)
		return err
	})
}
