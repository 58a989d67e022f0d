// Package budget holds the number of requests that all processes together send to VOMO for one customer
// under the customer's limits.
//
// It owns the arithmetic; the state is one row a customer in Postgres, so that two workers, or a worker and
// a poller, share one budget. It promises that requests leave no closer together than the longer of 1/rps
// and 60/rpm seconds, with one percent to spare for jitter on the way, that a waiter holds one grant and no
// connection, and that a 429 holds everybody back. It does not send anything.
package budget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
)

// Limits are the two limits of a customer; both hold.
type Limits struct {
	PerSecond float64 // above 0
	PerMinute float64 // 0: none
}

// With returns the limits in force of a customer that has its own, over the installation's l; nil means the installation's.
func (l Limits) With(perSecond, perMinute *float64) Limits {
	if perSecond != nil {
		l.PerSecond = *perSecond
	}
	if perMinute != nil {
		l.PerMinute = *perMinute
	}
	return l
}

// margin keeps clear of the limit: requests that left evenly spaced do not arrive so.
const margin = 1.01

// maxInterval bounds the interval: a day and less than a request is a mistake, and what no time.Duration holds would
// come out negative and let everything through.
const maxInterval = 24 * time.Hour

// Interval is the time between two requests, a day at most.
func (l Limits) Interval() time.Duration {
	seconds := 1 / l.PerSecond
	if l.PerMinute > 0 {
		seconds = max(seconds, 60/l.PerMinute)
	}
	return time.Duration(min(margin*seconds*float64(time.Second), float64(maxInterval)))
}

// AllowedPerMinute is what the limits allow in a minute, before the margin.
func (l Limits) AllowedPerMinute() float64 {
	if l.PerMinute > 0 {
		return min(l.PerMinute, 60*l.PerSecond)
	}
	return 60 * l.PerSecond
}

// Estimate is how long that many requests take when nothing else is sent.
func (l Limits) Estimate(requests int64) time.Duration {
	interval := l.Interval()
	if interval > 0 && requests > math.MaxInt64/int64(interval) {
		return math.MaxInt64 // the number is VOMO's, and may be anything
	}
	return time.Duration(requests) * interval
}

// Bounds of waiting and of backing off.
const (
	// A longer wait is not worth a worker's slot: the job is parked.
	defaultPatience = 20 * time.Second
	maxBelieved     = time.Hour
	firstHold       = time.Second
	maxHold         = time.Minute
	// Above this pace the way to Postgres alone spaces requests further apart than the limiter would.
	unsmoothedAbove = 5000.0
)

// Ledger is where the budget's row lives.
type Ledger interface {
	TakeGrant(ctx context.Context, customer, job string, step, patience time.Duration) (wait time.Duration, granted bool, err error)
	HoldBudget(ctx context.Context, customer string, hold time.Duration, throttles int) error
	Throttles(ctx context.Context, customer string) (int, error)
	ForgetThrottles(ctx context.Context, customer string) error
}

// Account is one job's share in a customer's budget.
type Account struct {
	ledger    Ledger
	customer  string
	job       string
	limits    Limits
	smoother  *rate.Limiter
	patience  time.Duration
	wait      func(ctx context.Context, d time.Duration) error
	throttled atomic.Bool
}

// Open gives a job its share in the customer's budget. An Account is for one job and is asked by one
// goroutine at a time for grants.
func Open(ledger Ledger, customer, job string, limits Limits) (*Account, error) {
	if !(limits.PerSecond > 0) || !(limits.PerMinute >= 0) || limits.Interval() >= maxInterval { // so that NaN is refused too
		return nil, fault.Permanent("limits_invalid", errors.New("requests a second must be above 0, requests a minute 0 or more, and more than one a day"))
	}
	account := &Account{
		ledger: ledger, customer: customer, job: job, limits: limits, patience: defaultPatience, wait: backoff.Sleep,
		smoother: rate.NewLimiter(rate.Limit(limits.PerSecond), 1),
	}
	// Refusals may be counted that another account met: of a job that was parked for them, or that died.
	account.throttled.Store(true)
	return account, nil
}

// Wait returns when the next request may leave. A fault.Throttled error says how long the customer is held
// back for, where that is longer than a slot is worth.
func (a *Account) Wait(ctx context.Context) error {
	wait, granted, err := a.ledger.TakeGrant(ctx, a.customer, a.job, a.limits.Interval(), a.patience)
	if err != nil {
		return fmt.Errorf("take a grant: %w", err)
	}
	if !granted {
		return fault.Throttled("budget_held", wait, errors.New("the customer's budget is held back"))
	}
	if err := a.wait(ctx, wait); err != nil {
		return err
	}
	// The row spaces the grants; the limiter keeps two that were taken apart from leaving together after a
	// pause of this process.
	if a.limits.PerSecond < unsmoothedAbove {
		if err := a.smoother.Wait(ctx); err != nil {
			// The limiter gives up at once where the deadline would come first: then there is no cause yet.
			return fmt.Errorf("wait for the pace: %w", cmp.Or(context.Cause(ctx), err))
		}
	}
	return nil
}

// Throttled notes an answer 429 with its Retry-After, or 0 if it named no time, in which case the hold
// doubles from a second to a minute with jitter.
func (a *Account) Throttled(ctx context.Context, after time.Duration) error {
	a.throttled.Store(true)
	if after > 0 {
		if err := a.ledger.HoldBudget(ctx, a.customer, min(after, maxBelieved), 0); err != nil {
			return fmt.Errorf("hold the budget: %w", err)
		}
		return nil
	}
	throttles, err := a.ledger.Throttles(ctx, a.customer)
	if err != nil {
		return fmt.Errorf("read the budget: %w", err)
	}
	throttles++
	hold := backoff.Delays{First: firstHold, Longest: maxHold, Jitter: 0.5}.After(throttles)
	if err := a.ledger.HoldBudget(ctx, a.customer, hold, throttles); err != nil {
		return fmt.Errorf("hold the budget: %w", err)
	}
	return nil
}

// Answered notes an answer that was no refusal: the doubling begins anew.
func (a *Account) Answered(ctx context.Context) error {
	if !a.throttled.CompareAndSwap(true, false) {
		return nil
	}
	if err := a.ledger.ForgetThrottles(ctx, a.customer); err != nil {
		return fmt.Errorf("reset the budget: %w", err)
	}
	return nil
}
