// Package budget limits the number of requests that all processes together send to VOMO, or to Virtuous, for one
// customer.
//
// An Account is for VOMO and goes by the customer's limits by the second and the minute. An HourlyAccount is for Virtuous,
// which counts by the hour what all integrations of the customer send: it sends a share of that, and stops when little of
// it is left. The following is about both.
//
// The state is one row per customer and API in Postgres, so that two workers, or a worker and a poller, share one budget; the
// arithmetic is here. Requests are at least the longer of 1/rps and 60/rpm seconds apart, plus one percent for jitter
// in the network. A waiting caller holds one grant and no connection; where limits allow about a thousand requests a second or more, a scan takes
// the grants of its next few pages at once. A 429 delays all requests of the customer. The
// package sends nothing.
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

// Limits are the two limits of a customer; both apply.
type Limits struct {
	PerSecond float64 // above 0
	PerMinute float64 // 0: none
}

// With returns the limits of a customer with its own settings: they replace those of l, the installation's; nil means
// the installation's.
func (l Limits) With(perSecond, perMinute *float64) Limits {
	if perSecond != nil {
		l.PerSecond = *perSecond
	}
	if perMinute != nil {
		l.PerMinute = *perMinute
	}
	return l
}

// margin keeps the pace below the limit: requests that are sent evenly do not arrive evenly.
const margin = 1.01

// maxInterval limits the interval: less than one request a day is a mistake, and an interval that overflows
// time.Duration would become negative and allow everything.
const maxInterval = 24 * time.Hour

// Interval returns the time between two requests, a day at most.
func (l Limits) Interval() time.Duration {
	seconds := 1 / l.PerSecond
	if l.PerMinute > 0 {
		seconds = max(seconds, 60/l.PerMinute)
	}
	return time.Duration(min(margin*seconds*float64(time.Second), float64(maxInterval)))
}

// AllowedPerMinute returns how many requests the limits allow per minute, without the margin.
func (l Limits) AllowedPerMinute() float64 {
	if l.PerMinute > 0 {
		return min(l.PerMinute, 60*l.PerSecond)
	}
	return 60 * l.PerSecond
}

// Estimate returns how long that many requests take if nothing else is sent.
func (l Limits) Estimate(requests int64) time.Duration {
	interval := l.Interval()
	if interval > 0 && requests > math.MaxInt64/int64(interval) {
		return math.MaxInt64 // the number comes from VOMO and may have any value
	}
	return time.Duration(requests) * interval
}

// Limits of waits and holds.
const (
	// For a longer wait the job is parked instead of holding a worker's slot.
	defaultPatience = 20 * time.Second
	// Above this pace the round trip to Postgres alone keeps requests further apart than the limiter would.
	unsmoothedAbove = 5000.0
	// So many grants are taken at once where the interval is this short at most. A grant that was taken ahead may be used late, beside
	// those of others: 7 more requests are then less than the margin leaves of a second's, which is 9. With longer intervals they would
	// exceed the customer's limit.
	takenAtOnce     = 8
	longestForAhead = 1100 * time.Microsecond
)

// Ledger stores the budget's row.
type Ledger interface {
	HoldLedger
	TakeGrants(ctx context.Context, customer, job string, requests int, step, patience time.Duration) (wait time.Duration, granted bool, err error)
}

// Account is one job's access to a customer's budget.
type Account struct {
	holds

	ledger   Ledger
	job      string
	limits   Limits
	smoother *rate.Limiter
	patience time.Duration
	wait     func(ctx context.Context, d time.Duration) error

	expected atomic.Int64 // requests that follow, as far as it is known
	taken    atomic.Int64 // grants that were taken ahead
	next     time.Time    // when the first of these may be used
}

// Expect says how many requests follow one another from now on. Their grants may be taken together; without it, each is taken alone.
func (a *Account) Expect(requests int) { a.expected.Store(int64(requests)) }

// Open returns a job's access to the customer's budget. An Account is for one job, and one goroutine at a time asks
// it for grants.
func Open(ledger Ledger, customer, job string, limits Limits) (*Account, error) {
	if !(limits.PerSecond > 0) || !(limits.PerMinute >= 0) || limits.Interval() >= maxInterval { // written so that it rejects NaN too
		return nil, fault.Permanent("limits_invalid", errors.New("requests a second must be above 0, requests a minute 0 or more, and more than one a day"))
	}
	account := &Account{
		holds: holds{ledger: ledger, customer: customer}, ledger: ledger, job: job, limits: limits, patience: defaultPatience, wait: backoff.Sleep,
		smoother: rate.NewLimiter(rate.Limit(limits.PerSecond), 1),
	}
	account.throttled.Store(true)
	return account, nil
}

// Wait returns when the next request may be sent. If the customer is held longer than a slot should wait, it returns
// a fault.Throttled error with the time.
func (a *Account) Wait(ctx context.Context) error {
	wait, err := a.grant(ctx)
	if err != nil {
		return err
	}
	if err := a.wait(ctx, wait); err != nil {
		return err
	}
	// The row keeps grants apart. The limiter keeps two grants from being used at the same time after a pause of this
	// process.
	if a.limits.PerSecond < unsmoothedAbove {
		if err := a.smoother.Wait(ctx); err != nil {
			// The limiter fails at once if the deadline would come first: then the context has no cause yet.
			return fmt.Errorf("wait for the pace: %w", cmp.Or(context.Cause(ctx), err))
		}
	}
	return nil
}

// grant takes a grant, or uses one that was taken ahead, and returns how long to wait until the request may be sent.
func (a *Account) grant(ctx context.Context) (wait time.Duration, err error) {
	interval := a.limits.Interval()
	if a.taken.Add(-1) >= 0 {
		at := a.next
		a.next = at.Add(interval)
		return max(time.Until(at), 0), nil
	}
	a.taken.Store(0)
	requests := max(min(a.expected.Swap(0), takenAtOnce), 1)
	if interval > longestForAhead {
		requests = 1
	}
	wait, granted, err := a.ledger.TakeGrants(ctx, a.customer, a.job, int(requests), interval, a.patience)
	if err != nil {
		return 0, fmt.Errorf("take a grant: %w", err)
	}
	if !granted {
		return 0, fault.Throttled("budget_held", wait, errors.New("the customer's budget is held back"))
	}
	a.next = time.Now().Add(wait + interval)
	a.taken.Store(requests - 1)
	return wait, nil
}

// Throttled records an answer 429 with its Retry-After, 0 if it named no time. Grants that were taken before the hold are not used.
func (a *Account) Throttled(ctx context.Context, after time.Duration) error {
	a.taken.Store(0)
	return a.holds.Throttled(ctx, after)
}
