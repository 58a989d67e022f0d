package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

const (
	purposeRemovalKey = "subscription_removal" // of the sealed key with which a subscription is deleted at Virtuous
	jobRemoval        = "webhook_removal"      // its name in the spending of the budget

	longestRemovalDelay = 5 * time.Minute
)

// subscriptionKeys returns the API key for each of the customer's subscriptions that can be deleted at Virtuous. A key that cannot be opened
// any more is left out.
func subscriptionKeys(ctx context.Context, tx *store.Tx, keys *vault.Vault, customer string) (map[int64][]byte, error) {
	subscriptions, err := tx.RemovableSubscriptions(ctx, customer)
	if err != nil || len(subscriptions) == 0 {
		return nil, err
	}
	current, err := tx.Credential(ctx, customer, store.CredentialVirtuousToken)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	opened := map[int64][]byte{}
	for _, one := range subscriptions {
		sealed, purpose := one.KeySealed, purposeRemovalKey
		if sealed == nil {
			sealed, purpose = current, store.CredentialVirtuousToken
		}
		if sealed == nil {
			continue
		}
		key, err := keys.Open(ctx, customer, purpose, sealed)
		switch {
		case errors.Is(err, vault.ErrKeyGone), errors.Is(err, vault.ErrForeign):
		case err != nil:
			return nil, fmt.Errorf("open the key of subscription %d: %w", one.ID, err)
		default:
			opened[one.ID] = key
		}
	}
	return opened, nil
}

// removeSubscriptions has the customer's subscriptions deleted at Virtuous with these keys, and ends the others. It returns the ids of those
// that stay at Virtuous; 0 for one whose id is not known.
func removeSubscriptions(ctx context.Context, tx *store.Tx, keys *vault.Vault, customer string, opened map[int64][]byte) (orphans []int64, err error) {
	for id, key := range opened {
		sealed, err := keys.Seal(ctx, customer, purposeRemovalKey, key)
		if err != nil {
			return nil, fmt.Errorf("seal the key of subscription %d: %w", id, err)
		}
		if err := tx.BeginRemovalWith(ctx, id, sealed); err != nil {
			return nil, err
		}
	}
	return tx.OrphanSubscriptions(ctx, customer)
}

// subscriptionRemover deletes subscriptions at Virtuous whose giving has ended, each for at most an hour. Every replica runs it.
type subscriptionRemover struct {
	*offboarder
	virtuous *connector.Virtuous
}

// run deletes subscriptions until ctx ends. One that is not deleted by then is claimed again later.
func (r *subscriptionRemover) run(ctx context.Context) {
	ticker := time.NewTicker(claimEvery)
	defer ticker.Stop()
	for {
		for r.removeNext(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// removeNext makes one attempt to delete the next due subscription, if there is one.
func (r *subscriptionRemover) removeNext(ctx context.Context) bool {
	claimed, err := r.store.ClaimRemoval(ctx, claimHold)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			r.logger.Warn("reading webhook subscriptions failed; it will be retried", zap.Error(err))
		}
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := r.remove(bounded, claimed); err != nil && ctx.Err() == nil {
		r.logger.Warn("webhook subscription not removed; its claim will expire", zap.String("customer", claimed.Customer), zap.Error(err))
	}
	return ctx.Err() == nil
}

func (r *subscriptionRemover) remove(ctx context.Context, claimed store.SubscriptionRemoval) error {
	if claimed.IsOver {
		return r.end(ctx, claimed, store.SubscriptionOrphaned, "not_deleted_in_time")
	}
	key, err := r.key(ctx, claimed)
	switch {
	case errors.Is(err, vault.ErrKeyGone), errors.Is(err, vault.ErrForeign), errors.Is(err, store.ErrNotFound):
		return r.end(ctx, claimed, store.SubscriptionOrphaned, "key_gone")
	case err != nil:
		return err
	}
	client, err := r.virtuous.OpenWithKey(claimed.Customer, key, jobRemoval)
	if err != nil {
		return err
	}
	if err := client.DeleteSubscription(ctx, claimed.VirtuousID); err != nil {
		delay := backoff.Delays{First: firstDelay, Longest: longestRemovalDelay, Jitter: 0.5}.After(claimed.Attempts)
		if after, ok := fault.After(err); ok {
			delay = max(delay, after)
		}
		r.logger.Warn("webhook subscription not deleted at Virtuous; it will be retried", zap.String("customer", claimed.Customer),
			zap.Int64("virtuous_webhook_id", claimed.VirtuousID), zap.Duration("after", delay), zap.Error(err))
		return r.store.PostponeRemoval(ctx, claimed.ID, delay, fault.CodeOf(err))
	}
	return r.end(ctx, claimed, store.SubscriptionRemoved, "")
}

// key returns the API key for a removal: its own, or else the customer's.
func (r *subscriptionRemover) key(ctx context.Context, claimed store.SubscriptionRemoval) (string, error) {
	sealed, purpose := claimed.KeySealed, purposeRemovalKey
	if sealed == nil {
		var err error
		purpose = store.CredentialVirtuousToken
		if sealed, err = r.store.Credential(ctx, claimed.Customer, purpose); err != nil {
			return "", err
		}
	}
	key, err := r.vault.Open(ctx, claimed.Customer, purpose, sealed)
	if err != nil {
		return "", fmt.Errorf("open the key: %w", err)
	}
	return string(key), nil
}

// end ends a removal and deletes its key. A data key that an offboarded customer had for that alone is destroyed.
func (r *subscriptionRemover) end(ctx context.Context, claimed store.SubscriptionRemoval, state, code string) error {
	err := r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, claimed.Customer); err != nil {
			return err
		}
		ended, err := tx.EndSubscription(ctx, claimed.ID, store.SubscriptionRemoving, state, code)
		if err != nil || !ended {
			return err
		}
		if state == store.SubscriptionOrphaned {
			if err := nameAnotherOrphan(ctx, tx, claimed.Customer); err != nil {
				return err
			}
		}
		customer, err := tx.Customer(ctx, claimed.Customer)
		if errors.Is(err, store.ErrNotFound) || (err == nil && customer.OffboardedAt == nil) {
			return nil
		}
		if err != nil {
			return err
		}
		if left, err := tx.OpenRemovals(ctx, claimed.Customer); err != nil || left > 0 {
			return err
		}
		return r.destroyKey(ctx, tx, claimed.Customer, store.Origin{})
	})
	if err == nil {
		r.logger.Info("removal of a webhook subscription ended", zap.String("customer", claimed.Customer),
			zap.Int64("virtuous_webhook_id", claimed.VirtuousID), zap.String("state", state))
	}
	return err
}

// nameAnotherOrphan raises the alert about subscriptions that stay at Virtuous. One that is active does not name the new one.
func nameAnotherOrphan(ctx context.Context, tx *store.Tx, customer string) error {
	if err := event.Clear(ctx, tx, customer, event.AlertWebhookOrphaned, "Another subscription stays at Virtuous, too."); err != nil {
		return err
	}
	return nameOrphanedWebhooks(ctx, tx, customer)
}
