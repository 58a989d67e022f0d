package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/giving/subscription"
	"rollcall.dev/pkg/store"
)

const (
	firstAddDelay   = time.Minute
	longestAddDelay = time.Hour
)

// subscriptionAdder creates the webhook subscriptions that requests ask for, after the request is applied. It tries until there is one, because
// giving works without it, only later: reconciliations find what no webhook says. It also ends rotations of their secrets. Every replica runs it.
type subscriptionAdder struct {
	store         *store.Store
	logger        *zap.Logger
	subscriptions *subscription.Subscriptions
}

// newSubscriptionAdder returns an adder that uses the settler's Virtuous.
func newSubscriptionAdder(s *settler) *subscriptionAdder {
	open := func(ctx context.Context, config store.VirtuousConfig) (subscription.Client, error) {
		return s.virtuous.Open(ctx, config, nil, jobOnboard)
	}
	return &subscriptionAdder{store: s.store, logger: s.logger, subscriptions: &subscription.Subscriptions{
		Store: s.store, Vault: s.vault, Logger: s.logger, PublicURL: s.publicURL, Open: open,
	}}
}

// run creates subscriptions and ends rotations until ctx ends. What is not done by then is claimed again later.
func (a *subscriptionAdder) run(ctx context.Context) {
	ticker := time.NewTicker(claimEvery)
	defer ticker.Stop()
	for {
		for a.addNext(ctx) {
		}
		for a.rotateNext(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// addNext makes one attempt to create the next wanted subscription, if there is one.
func (a *subscriptionAdder) addNext(ctx context.Context) bool {
	customer, attempt, err := a.store.ClaimWantedSubscription(ctx, claimHold)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			a.logger.Warn("reading wanted webhook subscriptions failed; it will be retried", zap.Error(err))
		}
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := a.add(bounded, customer, attempt); err != nil && ctx.Err() == nil {
		a.logger.Warn("attempt to create a webhook subscription not noted; its claim will expire", zap.String("customer", customer), zap.Error(err))
	}
	return ctx.Err() == nil
}

func (a *subscriptionAdder) add(ctx context.Context, customer string, attempt int) error {
	lost, err := a.store.LoseOldSubscriptions(ctx, customer)
	if err != nil {
		return err
	}
	_, failure := a.subscriptions.Add(ctx, customer)
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if lost > 0 || errors.Is(failure, subscription.ErrAnswerLost) {
		err := a.store.InTx(noting, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.LockCustomer(ctx, customer); err != nil {
				return err
			}
			return nameOrphanedWebhooks(ctx, tx, customer)
		})
		if err != nil {
			return err
		}
	}
	if failure == nil || errors.Is(failure, subscription.ErrExists) {
		return a.store.EndWantedSubscription(noting, customer)
	}
	delay := backoff.Delays{First: firstAddDelay, Longest: longestAddDelay}.After(attempt)
	a.logger.Warn("webhook subscription not created; it will be retried", zap.String("customer", customer), zap.Duration("after", delay), zap.Error(failure))
	return a.store.PostponeWantedSubscription(noting, customer, delay)
}
