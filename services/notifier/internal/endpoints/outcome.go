package endpoints

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// released is what the release of a claim notes.
type released struct {
	failures int // since the last success
	pause    time.Duration
	success  bool
}

// outcomeOf returns what a claim's attempts say of the endpoint. One success shows that it works.
func outcomeOf(claim store.EndpointClaim, results []result) released {
	end := released{failures: claim.Failures}
	for _, one := range results {
		end.success = end.success || !one.failed()
	}
	for _, one := range results {
		if one.failed() {
			end.failures++
			end.pause = max(end.pause, one.retryAfter)
		}
	}
	switch {
	case end.success:
		end.failures = 0
	case len(results) > 0:
		end.pause = max(end.pause, pauses().After(end.failures))
	}
	return end
}

// release ends a claim. The first success after a failure clears the alert.
func (s *Sender) release(ctx context.Context, claim store.EndpointClaim, end released) error {
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	return s.Store.InTx(noting, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ReleaseEndpoint(ctx, claim, end.failures, end.pause); err != nil || !end.success {
			return err
		}
		endpoint, err := tx.LockEndpoint(ctx, claim.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil || !endpoint.Alerted {
			return err
		}
		return clearAlert(ctx, tx, endpoint, "The endpoint accepts webhooks again.")
	})
}

// noteFailure notes a failed attempt. A delivery whose time has passed is given up, and an endpoint that is gone is disabled: both raise an alert.
func (s *Sender) noteFailure(
	ctx context.Context, claim store.EndpointClaim, note store.DeliveryAttempt, delay time.Duration, gone bool,
) (failed bool, err error) {
	err = s.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		failed = false
		endpoint, err := tx.LockEndpoint(ctx, claim.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil // deleted, with its deliveries
		}
		if err != nil {
			return err
		}
		if gone {
			failed, err = true, tx.SettleDelivery(ctx, note, store.DeliveryFailed)
			if err == nil {
				_, err = tx.DisableEndpoint(ctx, claim.ID, store.EndpointGone)
			}
		} else {
			failed, err = tx.RetryDelivery(ctx, note, delay)
		}
		if err != nil || !failed || endpoint.Alerted {
			return err
		}
		if err := tx.NoteEndpointAlerted(ctx, claim.ID, true); err != nil {
			return err
		}
		return event.Raise(ctx, tx, event.AlertFor(alertOwner(endpoint), event.AlertEndpointFailing))
	})
	if err == nil && gone {
		s.Logger.Warn("endpoint disabled: it answered 410", zap.Int64("endpoint", claim.ID))
	}
	return failed, err
}

// clearAlert ends the alert about an endpoint, unless it is about another one too.
func clearAlert(ctx context.Context, tx *store.Tx, endpoint store.LockedEndpoint, text string) error {
	if err := tx.NoteEndpointAlerted(ctx, endpoint.ID, false); err != nil {
		return err
	}
	others, err := tx.AlertedBeside(ctx, endpoint)
	if err != nil || others {
		return err
	}
	return event.Clear(ctx, tx, alertOwner(endpoint), event.AlertEndpointFailing, text)
}

// alertOwner returns the customer whose alert it is.
func alertOwner(endpoint store.LockedEndpoint) string {
	if endpoint.Customer == "" {
		return rollcallv1.Installation
	}
	return endpoint.Customer
}
