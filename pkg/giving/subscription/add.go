package subscription

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// Add creates the customer's subscription, and returns it. The customer gets a secret if it has none. Errors: ErrNoPublicURL, ErrNoGiving,
// ErrPaused, ErrExists, ErrUnderWay; ErrAnswerLost, after which the caller may add again; and those of package virtuous.
func (s *Subscriptions) Add(ctx context.Context, customer string) (store.Subscription, error) {
	payloadURL, err := s.payloadURL(customer)
	if err != nil {
		return store.Subscription{}, err
	}
	client, err := s.open(ctx, customer)
	if err != nil {
		return store.Subscription{}, err
	}
	if _, err := s.Store.LoseOldSubscriptions(ctx, customer); err != nil {
		return store.Subscription{}, err
	}
	added := store.Subscription{Customer: customer, PayloadURL: payloadURL, Toggles: toggles(), State: store.SubscriptionRequested}
	if added.ID, err = s.request(ctx, added); err != nil {
		return store.Subscription{}, err
	}
	wanted, err := s.one(ctx, customer, payloadURL, 0)
	if err != nil {
		return store.Subscription{}, err
	}
	created, err := client.CreateSubscription(ctx, wanted)
	if err != nil {
		return store.Subscription{}, s.notCreated(context.WithoutCancel(ctx), added, err)
	}
	// From here on only the id would be lost.
	changed, err := s.Store.ActivateSubscription(context.WithoutCancel(ctx), added.ID, created.ID)
	if err == nil && !changed {
		err = errors.New("it was ended meanwhile")
	}
	if err != nil {
		return store.Subscription{}, fmt.Errorf("store webhook subscription %d: %w", created.ID, err)
	}
	s.Logger.Info("webhook subscription created", zap.String("customer", customer), zap.Int64("virtuous_webhook_id", created.ID))
	added.State, added.VirtuousID = store.SubscriptionActive, created.ID
	return added, nil
}

// request stores what is about to be requested, and the secret.
func (s *Subscriptions) request(ctx context.Context, wanted store.Subscription) (id int64, err error) {
	err = s.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, wanted.Customer); err != nil { // an offboarding destroys the key
			return err
		}
		known, err := tx.Customer(ctx, wanted.Customer)
		if err != nil {
			return err
		}
		if known.OffboardedAt != nil {
			return ErrNoGiving
		}
		var added bool
		if id, added, err = tx.RequestSubscription(ctx, wanted.Customer, wanted.PayloadURL, wanted.Toggles); err != nil {
			return err
		}
		if !added {
			before, err := tx.LockSubscription(ctx, wanted.Customer)
			if err == nil && before.State == store.SubscriptionActive {
				return ErrExists
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return ErrUnderWay
		}
		return s.ensureSecret(ctx, tx, wanted.Customer)
	})
	return id, err
}

// notCreated ends a subscription that Virtuous did not confirm. Only a clear rejection says that Virtuous does not have it.
func (s *Subscriptions) notCreated(ctx context.Context, wanted store.Subscription, failure error) error {
	state := store.SubscriptionRemoved
	if mayExist(failure) {
		state = store.SubscriptionOrphaned
	}
	if _, err := s.Store.EndSubscription(ctx, wanted.ID, store.SubscriptionRequested, state, fault.CodeOf(failure)); err != nil {
		return errors.Join(failure, err)
	}
	if state == store.SubscriptionOrphaned {
		s.Logger.Warn("webhook subscription requested, and its answer lost", zap.String("customer", wanted.Customer), zap.Error(failure))
		return fmt.Errorf("%w: %w", ErrAnswerLost, failure)
	}
	return failure
}

// mayExist reports whether Virtuous may have created a subscription although the request failed.
func mayExist(failure error) bool {
	if answer, ok := errors.AsType[*virtuous.AnswerError](failure); ok {
		isRejected := answer.Status >= 300 && answer.Status < 500 && answer.Status != http.StatusRequestTimeout
		return !isRejected
	}
	return !virtuous.IsUnsent(failure)
}
