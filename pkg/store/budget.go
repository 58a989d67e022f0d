package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// grantTries bounds a race that one round settles.
const grantTries = 5

// TakeGrant spends one request of the customer's budget for job and tells how long to wait before sending
// it. Where the wait would be longer than patience nothing is spent and granted is false. step is the time
// between two requests.
func (c Conn) TakeGrant(ctx context.Context, customer, job string, step, patience time.Duration) (wait time.Duration, granted bool, err error) {
	for attempt := 0; ; attempt++ {
		seconds, err := c.queries.BudgetTake(ctx, c.dbtx, &db.BudgetTakeParams{CustomerID: customer, Job: job, Step: step, Patience: patience})
		if err == nil {
			return asDuration(seconds), true, nil
		}
		if !noRows(err) {
			return 0, false, wrap("take budget", err)
		}
		seconds, err = c.queries.BudgetWaitSeconds(ctx, c.dbtx, customer)
		switch {
		case err == nil && asDuration(seconds) > patience:
			return asDuration(seconds), false, nil
		case err == nil && attempt < grantTries:
			// Somebody opened the budget between the two statements, or its time came: it can be taken now.
		case noRows(err) && attempt < grantTries:
			if err := c.queries.BudgetInsertIfAbsent(ctx, c.dbtx, customer); err != nil {
				return 0, false, wrap("open budget", err)
			}
		case err == nil:
			return 0, false, fmt.Errorf("take budget: not settled after %d tries", grantTries)
		default:
			return 0, false, wrap("read budget", err)
		}
	}
}

// HoldBudget lets no process send a request for the customer for hold. throttles is what is kept as the
// number of refusals in a row that named no time.
func (c Conn) HoldBudget(ctx context.Context, customer string, hold time.Duration, throttles int) error {
	_, err := c.queries.BudgetThrottle(ctx, c.dbtx, &db.BudgetThrottleParams{
		CustomerID: customer, Hold: hold, Throttles: int32(min(throttles, 1<<20)), //nolint:gosec // bounded above
	})
	return wrap("hold budget", err)
}

// Throttles is the number of refusals in a row that named no time.
func (c Conn) Throttles(ctx context.Context, customer string) (int, error) {
	throttles, err := c.queries.BudgetThrottles(ctx, c.dbtx, customer)
	return int(throttles), wrap("read throttles", err)
}

// ForgetThrottles ends the doubling after an answer that was no refusal.
func (c Conn) ForgetThrottles(ctx context.Context, customer string) error {
	return wrap("forget throttles", c.queries.BudgetThrottlesReset(ctx, c.dbtx, customer))
}

// Spent is how many requests were granted, by job. Empty for a customer who never sent one.
func (c Conn) Spent(ctx context.Context, customer string) (map[string]int64, error) {
	raw, err := c.queries.BudgetSpent(ctx, c.dbtx, customer)
	if noRows(err) {
		return map[string]int64{}, nil
	}
	if err != nil {
		return nil, wrap("read spending", err)
	}
	spent := map[string]int64{}
	if err := json.Unmarshal(raw, &spent); err != nil {
		return nil, fmt.Errorf("decode spending: %w", err)
	}
	return spent, nil
}

func asDuration(seconds float64) time.Duration {
	return max(0, time.Duration(seconds*float64(time.Second)))
}
