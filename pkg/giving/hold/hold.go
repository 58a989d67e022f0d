// Package hold decides why, and for how long, a customer's giving is left alone after a fault that concerns the customer and not one
// record alone. Donations and reconciliations wait for the same Virtuous and the same key, so both decide here.
//
// It promises that a key switches giving off only if Virtuous rejected it twice, or if there is no key, and never while Virtuous rejects
// the keys of many customers. It sends nothing by itself but the one request that asks about a key again.
package hold

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

// Why a customer's giving waits, beside the alerts about its key.
const (
	ReasonNoKey       = "virtuous_no_key"
	ReasonUnavailable = "virtuous_unavailable"
	ReasonThrottled   = "virtuous_throttled"
)

const (
	shortestPause = 2 * time.Second
	longestPause  = 5 * time.Minute
	refusedPause  = 15 * time.Minute // a new key, or new rights, wake the work
	// confirmAfter is how long after a rejected key it is tried once more.
	confirmAfter = 2 * time.Second
)

// For returns the error with which a round ends: a *round.HoldError if the fault concerns the customer, otherwise the fault itself.
// holds is how often the customer was held in a row.
func For(err error, holds int) error {
	if err == nil {
		return nil
	}
	park := job.Park{Reason: ReasonUnavailable, Delay: backoff.Delays{First: shortestPause, Longest: longestPause}.After(holds + 1)}
	after, named := fault.After(err)
	switch {
	case errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable), errors.Is(err, vault.ErrUnavailable), errors.Is(err, context.Canceled):
		return err // the round knows what to do
	case errors.Is(err, connector.ErrNoCredential), errors.Is(err, vault.ErrKeyGone):
		park = job.Park{Reason: ReasonNoKey, Delay: refusedPause}
	case errors.Is(err, virtuous.ErrUnauthorized):
		park = job.Park{Reason: event.AlertVirtuousAuthFailed, Delay: refusedPause}
	case errors.Is(err, virtuous.ErrForbidden):
		park = job.Park{Reason: event.AlertVirtuousForbidden, Delay: refusedPause}
	case errors.Is(err, virtuous.ErrThrottled):
		park.Reason, park.Delay = ReasonThrottled, max(after, park.Delay)
	case IsPaced(err):
		park = job.Park{Reason: job.ParkPaced, Delay: max(after, shortestPause)}
	case named:
		park.Delay = max(after, park.Delay)
	case !IsVirtuous(err):
		return err
	}
	return &round.HoldError{Park: park, Err: err}
}

// ForReads is For for work that only reads. Reads wait for the customer's share of the requests while submissions go on, so such a wait is
// no hold of the customer's giving.
func ForReads(err error, holds int) error {
	held := For(err, holds)
	if own, ok := errors.AsType[*round.HoldError](held); ok {
		own.Unstored = IsPaced(err)
	}
	return held
}

// IsPaced reports whether a request was not sent because the customer's share of the requests is used up, or is kept for submissions.
func IsPaced(err error) bool {
	return fault.KindOf(err) == fault.KindThrottled && !strings.HasPrefix(fault.CodeOf(err), "virtuous_")
}

// IsVirtuous reports whether an answer of Virtuous, or its absence, is what failed.
func IsVirtuous(err error) bool {
	for _, kind := range []error{
		virtuous.ErrUnavailable, virtuous.ErrUnknownAnswer, virtuous.ErrRejected, virtuous.ErrRedirect, virtuous.ErrNotFound,
		virtuous.ErrPageRepeats, virtuous.ErrUnsorted, virtuous.ErrUnsupportedQuery,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// ConfirmRejection asks Virtuous once more, a little later, whether it rejects the key: one such answer may come from something between.
// It returns rejected if Virtuous does, a virtuous.ErrUnavailable if it accepts the key, and otherwise why it could not be asked.
func ConfirmRejection(
	ctx context.Context, client *virtuous.Client, sleep func(ctx context.Context, pause time.Duration) error, rejected error,
) error {
	if err := sleep(ctx, confirmAfter); err != nil {
		return err
	}
	_, err := client.Organization(ctx)
	switch {
	case errors.Is(err, virtuous.ErrUnauthorized):
		return rejected
	case err == nil:
		return fault.Unknown(codeUnconfirmed, unconfirmedError{})
	}
	return err
}

const codeUnconfirmed = "virtuous_auth_unconfirmed"

// IsUnconfirmed reports whether Virtuous rejected a request for its key, and accepts the key.
func IsUnconfirmed(err error) bool { return fault.CodeOf(err) == codeUnconfirmed }

// unconfirmedError is an ErrUnavailable: the work is tried again soon.
type unconfirmedError struct{}

func (unconfirmedError) Error() string {
	return "Virtuous rejected the key once, and accepted it after that"
}
func (unconfirmedError) Unwrap() error { return virtuous.ErrUnavailable }

// Store stores why a customer's giving waits, and raises the alert of it. A key that Virtuous rejects, or that is gone, also switches
// giving off until a new one comes: unless Virtuous rejects many at once.
func Store(ctx context.Context, tx *store.Tx, customer string, park job.Park, detail string) error {
	switch park.Reason {
	case ReasonNoKey: // there is no answer of Virtuous that counts as a rejection
		if err := switchOff(ctx, tx, customer); err != nil {
			return err
		}
	case event.AlertVirtuousAuthFailed:
		isVirtuous, err := tx.KeyRefusalIsVirtuous(ctx, customer)
		if err != nil {
			return err
		}
		if isVirtuous {
			park = job.Park{Reason: ReasonUnavailable, Delay: longestPause}
		} else if err := switchOff(ctx, tx, customer); err != nil {
			return err
		}
		if err := tx.KeyRefused(ctx, customer); err != nil {
			return err
		}
	case event.AlertVirtuousForbidden:
		if err := event.Raise(ctx, tx, event.AlertFor(customer, park.Reason)); err != nil {
			return err
		}
	}
	return tx.HoldGiving(ctx, customer, park.Reason, detail, park.Delay)
}

func switchOff(ctx context.Context, tx *store.Tx, customer string) error {
	if err := event.Raise(ctx, tx, event.AlertFor(customer, event.AlertVirtuousAuthFailed)); err != nil {
		return err
	}
	_, err := tx.DisableGiving(ctx, customer, store.GivingAuthFailed)
	return err
}

// ClearAlerts clears the alerts about a customer's key among those that are active, after Virtuous accepted a donation; text says so. The key
// may still be forbidden to read: then that alert stays.
func ClearAlerts(ctx context.Context, tx *store.Tx, customer string, active []store.ActiveAlert, text string) error {
	for _, alert := range active {
		if alert.Type != event.AlertVirtuousAuthFailed && alert.Type != event.AlertVirtuousForbidden {
			continue
		}
		if alert.Type == event.AlertVirtuousForbidden {
			stays, err := tx.ReadsAreForbidden(ctx, customer)
			if err != nil {
				return err
			}
			if stays {
				continue
			}
		}
		if err := event.Clear(ctx, tx, customer, alert.Type, text); err != nil {
			return err
		}
	}
	return nil
}
