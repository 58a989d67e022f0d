package giving

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/hold"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

const (
	forbiddenPause     = 15 * time.Minute
	firstQueryPause    = time.Minute
	longestQueryPause  = time.Hour
	longestOutagePause = 5 * time.Minute
)

// unclearInARow is after how many answers in a row that say nothing of a donation Virtuous counts as unavailable.
const unclearInARow = 3

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

// confirmed returns what is known after Virtuous was asked once more about a key that it rejected; any other fault is returned as it is.
func (p *pass) confirmed(ctx context.Context, err error) error {
	if !errors.Is(err, virtuous.ErrUnauthorized) {
		return err
	}
	return hold.ConfirmRejection(ctx, p.client, p.Sleep, err)
}

// reasonQuery is why a category waits whose requests Virtuous rejects, or answers with something else.
const reasonQuery = "virtuous_query_failed"

// settle decides about the fault with which the work on a category ended. One that concerns the category's requests alone has this category
// wait, and nothing else: other categories, and donations, go on. It returns what ends the round.
func (p *pass) settle(ctx context.Context, one store.GivingReconciliation, err error) error {
	err = p.confirmed(ctx, err)
	reason, first, longest := reasonQuery, firstQueryPause, longestQueryPause
	switch {
	case errors.Is(err, virtuous.ErrUnauthorized), errors.Is(err, virtuous.ErrThrottled), hold.IsPaced(err):
		return hold.ForReads(err, p.Holds)
	case hold.IsUnconfirmed(err): // Virtuous accepts the key, but not for this request
	case errors.Is(err, virtuous.ErrForbidden):
		reason, first, longest = event.AlertVirtuousForbidden, forbiddenPause, forbiddenPause
	case errors.Is(err, virtuous.ErrUnavailable):
		reason, longest = hold.ReasonUnavailable, longestOutagePause
	case !hold.IsVirtuous(err):
		return hold.ForReads(err, p.Holds)
	}
	delay := backoff.Delays{First: first, Longest: longest}.After(one.Failures + 1)
	if after, named := fault.After(err); named {
		delay = max(delay, after)
	}
	p.Log.Warn("category put off", zap.String("category", one.Category), zap.String("reason", reason), zap.Duration("for", delay), zap.Error(err))
	return p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		if reason == event.AlertVirtuousForbidden {
			if err := event.Raise(ctx, tx, event.AlertFor(p.Customer.ID, reason)); err != nil {
				return err
			}
		}
		return tx.PostponeGivingReconciliation(ctx, p.Customer.ID, one.Category, reason, delay)
	})
}

// release ends the hold and the alerts about the key that answers to this round's requests disprove. before is why the category waited: one
// that was forbidden, and is complete now, may read again. What the key may submit, only a submission says.
func (p *pass) release(ctx context.Context, before string) error {
	if !p.answered {
		return nil
	}
	p.answered = false
	return p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := tx.GivingHoldOf(ctx, p.Customer.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		const text = "Virtuous answers requests with the key again."
		if err := event.Clear(ctx, tx, p.Customer.ID, event.AlertVirtuousAuthFailed, text); err != nil {
			return err
		}
		if before == event.AlertVirtuousForbidden && held.Reason != event.AlertVirtuousForbidden {
			if err := event.Clear(ctx, tx, p.Customer.ID, event.AlertVirtuousForbidden, text); err != nil {
				return err
			}
		}
		return tx.ReleaseGivingForReads(ctx, p.Customer.ID)
	})
}

// deleteHold leaves the hold to release, which knows whether Virtuous answered. A round that came to its end has opened the customer's keys.
func (r *Reconciler) deleteHold(ctx context.Context, _ string) error {
	return job.ClearKeeperAlert(ctx, r.Store)
}
