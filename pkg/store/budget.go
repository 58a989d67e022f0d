package store

import (
	"context"
	"encoding/json"
	"errors"
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

// Spending is how many requests were granted, by job.
type Spending struct {
	Ever  map[string]int64
	Today map[string]int64 // since midnight, UTC
}

// Spent is what was granted for the customer. Empty for one who never sent a request.
func (c Conn) Spent(ctx context.Context, customer string) (Spending, error) {
	spending := Spending{Ever: map[string]int64{}, Today: map[string]int64{}}
	row, err := c.queries.BudgetSpent(ctx, c.dbtx, customer)
	if noRows(err) {
		return spending, nil
	}
	if err != nil {
		return spending, wrap("read spending", err)
	}
	if err := errors.Join(json.Unmarshal(row.Spent, &spending.Ever), json.Unmarshal(row.Today, &spending.Today)); err != nil {
		return spending, fmt.Errorf("decode spending: %w", err)
	}
	return spending, nil
}

func asDuration(seconds float64) time.Duration {
	return max(0, time.Duration(seconds*float64(time.Second)))
}
