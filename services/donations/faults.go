package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// Why a customer's donations wait, beside the alerts of giving.
const (
	heldUnavailable = "virtuous_unavailable"
	heldThrottled   = "virtuous_throttled"
	// heldNoKey is the hold of a customer whose key is gone. It is stored as virtuous_auth_failed.
	heldNoKey = "virtuous_no_key"
)

const (
	shortestPause = 2 * time.Second
	longestPause  = 5 * time.Minute
	refusedPause  = 15 * time.Minute // a new key, or new rights, wake the work
)

// holdFor returns what a fault that concerns the customer, and not one donation alone, means for the round.
func (b *batch) holdFor(err error) error {
	if err == nil {
		return nil
	}
	park := job.Park{Reason: heldUnavailable, Delay: backoff.Delays{First: shortestPause, Longest: longestPause}.After(b.Holds + 1)}
	after, named := fault.After(err)
	switch {
	case errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable), errors.Is(err, vault.ErrUnavailable), errors.Is(err, context.Canceled):
		return err // the round knows what to do
	case errors.Is(err, connector.ErrNoCredential), errors.Is(err, vault.ErrKeyGone):
		park = job.Park{Reason: heldNoKey, Delay: refusedPause}
	case errors.Is(err, virtuous.ErrUnauthorized):
		park = job.Park{Reason: event.AlertVirtuousAuthFailed, Delay: refusedPause}
	case errors.Is(err, virtuous.ErrForbidden):
		park = job.Park{Reason: event.AlertVirtuousForbidden, Delay: refusedPause}
	case errors.Is(err, virtuous.ErrThrottled):
		park.Reason, park.Delay = heldThrottled, max(after, park.Delay)
	case fault.KindOf(err) == fault.KindThrottled && !strings.HasPrefix(fault.CodeOf(err), "virtuous_"):
		park = job.Park{Reason: job.ParkPaced, Delay: max(after, shortestPause)} // our own share of the requests is used up
	case named:
		park.Delay = max(after, park.Delay)
	case !isVirtuous(err):
		return err
	}
	return &round.HoldError{Park: park, Err: err}
}

// isVirtuous reports whether an answer, or its absence, is what failed.
func isVirtuous(err error) bool {
	return errors.Is(err, virtuous.ErrUnavailable) || errors.Is(err, virtuous.ErrUnknownAnswer) || errors.Is(err, virtuous.ErrRejected) ||
		errors.Is(err, virtuous.ErrRedirect) || errors.Is(err, virtuous.ErrNotFound)
}

// confirmRejection asks Virtuous once more, a little later, whether it rejects the key: one such answer may come from something between.
func (b *batch) confirmRejection(ctx context.Context, rejected error) error {
	if err := b.sleep(ctx, confirmAfter); err != nil {
		return err
	}
	_, err := b.client.Organization(ctx)
	switch {
	case errors.Is(err, virtuous.ErrUnauthorized):
		return rejected
	case err == nil:
		return fault.Unknown("virtuous_auth_unconfirmed", errUnconfirmed)
	}
	return err
}

// errUnconfirmed is an ErrUnavailable: the donations are tried again soon.
var errUnconfirmed = &unconfirmedError{}

type unconfirmedError struct{}

func (*unconfirmedError) Error() string {
	return "Virtuous rejected the key once, and accepted it after that"
}
func (*unconfirmedError) Unwrap() error { return virtuous.ErrUnavailable }
