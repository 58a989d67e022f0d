package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/subscription"
	"rollcall.dev/pkg/store"
)

// rotateNext makes one attempt to end the next due rotation, if there is one: Virtuous gets the secret that a request has given, or the one
// of an operator's rotation without an answer. It is tried until Virtuous has it: as long as it does not, both secrets are valid.
func (a *subscriptionAdder) rotateNext(ctx context.Context) bool {
	claimed, err := a.store.ClaimRotation(ctx, claimHold)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			a.logger.Warn("reading open rotations of webhook secrets failed; it will be retried", zap.Error(err))
		}
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_, failure := a.subscriptions.Rotate(bounded, claimed.Customer)
	if failure == nil || errors.Is(failure, subscription.ErrNone) {
		return ctx.Err() == nil
	}
	delay := backoff.Delays{First: firstAddDelay, Longest: longestAddDelay}.After(claimed.Attempt)
	a.logger.Warn("webhook secret not sent to Virtuous; it will be retried", zap.String("customer", claimed.Customer), zap.Duration("after", delay),
		zap.Error(failure))
	noting, cancelNoting := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancelNoting()
	if err := a.store.PostponeRotation(noting, claimed.ID, delay, fault.CodeOf(failure)); err != nil && ctx.Err() == nil {
		a.logger.Warn("attempt to send a webhook secret not noted; its claim will expire", zap.String("customer", claimed.Customer), zap.Error(err))
	}
	return ctx.Err() == nil
}
