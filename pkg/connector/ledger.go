package connector

import (
	"context"
	"sync/atomic"
	"time"

	"rollcall.dev/pkg/store"
)

// ledger is the budget of a customer for a job, with what is known of it since the job's claim.
type ledger struct {
	*store.Store

	grant     atomic.Pointer[store.ClaimedGrant] // not yet used; nil: there is none
	throttled atomic.Bool                        // answers 429 may be noted
}

func newLedger(from *store.Store, grant *store.ClaimedGrant, throttled bool) *ledger {
	l := &ledger{Store: from}
	l.grant.Store(grant)
	l.throttled.Store(throttled)
	return l
}

// TakeGrants uses the grant of the claim for the first request, if it still fits.
func (l *ledger) TakeGrants(ctx context.Context, customer, job string, requests int, step, patience time.Duration) (
	wait time.Duration, granted bool, err error,
) {
	if grant := l.grant.Swap(nil); grant != nil && grant.Step == step && requests == 1 {
		if wait, ok := grant.Use(time.Now()); ok {
			return wait, true, nil
		}
	}
	return l.Store.TakeGrants(ctx, customer, job, requests, step, patience)
}

// HoldBudget notes an answer 429. A grant from before it is not used.
func (l *ledger) HoldBudget(ctx context.Context, customer string, hold time.Duration, throttles int) error {
	l.grant.Store(nil)
	l.throttled.Store(true)
	return l.Store.HoldBudget(ctx, customer, hold, throttles)
}

// ForgetThrottles does nothing if no answer 429 was noted when the claim read it, or since: what another job notes meanwhile is
// ended by the next answer.
func (l *ledger) ForgetThrottles(ctx context.Context, customer string) error {
	if !l.throttled.Swap(false) {
		return nil
	}
	return l.Store.ForgetThrottles(ctx, customer)
}
