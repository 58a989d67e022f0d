package giving

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

// Why a customer's giving waits, beside the alerts of giving: as for donations.
const (
	heldUnavailable = "virtuous_unavailable"
	heldThrottled   = "virtuous_throttled"
)

const (
	shortestPause = 2 * time.Second
	longestPause  = 5 * time.Minute
	refusedPause  = 15 * time.Minute // a new key, or new rights, wake the work
	// unclearInARow is after how many answers in a row that say nothing of a donation Virtuous counts as unavailable.
	unclearInARow = 3
)

// unknown decides about an answer that is neither a gift nor a 404. It changes no donation. nil: the pass goes on with the next one.
func (p *pass) unknown(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, virtuous.ErrUnknownAnswer), errors.Is(err, virtuous.ErrRejected), errors.Is(err, virtuous.ErrRedirect):
	case errors.Is(err, virtuous.ErrUnavailable) && !errors.Is(err, virtuous.ErrOpen) && ctx.Err() == nil:
		if _, named := fault.After(err); named {
			return err
		}
		if p.unclear++; p.unclear >= unclearInARow {
			return err
		}
	default:
		return err
	}
	p.Worked++
	p.Failed++
	return nil
}

// holdFor returns what a fault that concerns the customer, and not one record alone, means for the round.
func (p *pass) holdFor(ctx context.Context, err error) error {
	if errors.Is(err, virtuous.ErrUnauthorized) && p.client != nil {
		err = p.confirmRejection(ctx, err)
	}
	park := job.Park{Reason: heldUnavailable, Delay: backoff.Delays{First: shortestPause, Longest: longestPause}.After(p.Holds + 1)}
	after, named := fault.After(err)
	switch {
	case errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable), errors.Is(err, vault.ErrUnavailable), errors.Is(err, context.Canceled):
		return err // the round knows what to do
	case errors.Is(err, virtuous.ErrUnauthorized), errors.Is(err, connector.ErrNoCredential), errors.Is(err, vault.ErrKeyGone):
		park = job.Park{Reason: event.AlertVirtuousAuthFailed, Delay: refusedPause}
	case errors.Is(err, virtuous.ErrForbidden):
		park = job.Park{Reason: event.AlertVirtuousForbidden, Delay: refusedPause}
	case errors.Is(err, virtuous.ErrThrottled):
		park.Reason, park.Delay = heldThrottled, max(after, park.Delay)
	case fault.KindOf(err) == fault.KindThrottled && !strings.HasPrefix(fault.CodeOf(err), "virtuous_"):
		park = job.Park{Reason: job.ParkPaced, Delay: max(after, shortestPause)} // our own share of the requests is used up
	case named:
		park.Delay = max(after, park.Delay)
	case !strings.HasPrefix(fault.CodeOf(err), "virtuous_"):
		return err
	}
	return &round.HoldError{Park: park, Err: err}
}

// confirmRejection asks Virtuous once more, a little later, whether it rejects the key: one such answer may come from something between.
func (p *pass) confirmRejection(ctx context.Context, rejected error) error {
	if err := p.Sleep(ctx, confirmAfter); err != nil {
		return err
	}
	_, err := p.client.Organization(ctx)
	switch {
	case errors.Is(err, virtuous.ErrUnauthorized):
		return rejected
	case err == nil:
		return fault.Unknown("virtuous_auth_unconfirmed", virtuous.ErrUnavailable)
	}
	return err
}

// storeHold stores why a customer's giving waits, and raises the alert of it. A key that Virtuous rejects also switches giving off, until a
// new one comes: unless Virtuous rejects many at once.
func storeHold(ctx context.Context, tx *store.Tx, customer string, park job.Park, detail string) error {
	switch park.Reason {
	case event.AlertVirtuousAuthFailed:
		isVirtuous, err := tx.KeyRefusalIsVirtuous(ctx, customer)
		if err != nil {
			return err
		}
		if isVirtuous {
			park = job.Park{Reason: heldUnavailable, Delay: longestPause}
		} else {
			if err := event.Raise(ctx, tx, event.AlertFor(customer, event.AlertVirtuousAuthFailed)); err != nil {
				return err
			}
			if _, err := tx.DisableGiving(ctx, customer, store.GivingAuthFailed); err != nil {
				return err
			}
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
