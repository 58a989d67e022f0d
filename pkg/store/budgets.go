package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// grantTries bounds a race that one repetition ends.
const grantTries = 5

// TakeGrant is TakeGrants for one request.
func (c Conn) TakeGrant(ctx context.Context, customer, job string, step, patience time.Duration) (wait time.Duration, granted bool, err error) {
	return c.TakeGrants(ctx, customer, job, 1, step, patience)
}

// TakeGrants spends so many requests of the customer's budget for job and returns how long to wait before the first is sent; each other
// one may be sent a step after the one before. If the wait would be longer than patience, it spends nothing and granted is false. step
// is the time between two requests.
func (c Conn) TakeGrants(ctx context.Context, customer, job string, requests int, step, patience time.Duration) (
	wait time.Duration, granted bool, err error,
) {
	return takeGrant(ctx, patience, budgetRow{
		take: func(ctx context.Context) (float64, error) {
			return c.queries.BudgetTake(ctx, c.dbtx, &db.BudgetTakeParams{
				CustomerID: customer, Job: job, Requests: int64(requests), Step: step, Patience: patience,
			})
		},
		wait:   func(ctx context.Context) (float64, error) { return c.queries.BudgetWaitSeconds(ctx, c.dbtx, customer) },
		insert: func(ctx context.Context) error { return c.queries.BudgetInsertIfAbsent(ctx, c.dbtx, customer) },
	})
}

// budgetRow has the statements on one row of a budget, whichever API it is of.
type budgetRow struct {
	take   func(ctx context.Context) (seconds float64, err error) // ErrNotFound if nothing is granted
	wait   func(ctx context.Context) (seconds float64, err error)
	insert func(ctx context.Context) error
}

func takeGrant(ctx context.Context, patience time.Duration, row budgetRow) (wait time.Duration, granted bool, err error) {
	for attempt := 0; ; attempt++ {
		seconds, err := row.take(ctx)
		if err == nil {
			return asDuration(seconds), true, nil
		}
		if !isNotFound(err) {
			return 0, false, err
		}
		seconds, err = row.wait(ctx)
		switch {
		case err == nil && asDuration(seconds) > patience:
			return asDuration(seconds), false, nil
		case err == nil && attempt < grantTries:
			// Between the two statements another process opened the budget, or its time came: the next try gets the grant.
		case isNotFound(err) && attempt < grantTries:
			if err := row.insert(ctx); err != nil {
				return 0, false, err
			}
		case err == nil:
			return 0, false, fmt.Errorf("take grant: no result after %d tries", grantTries)
		default:
			return 0, false, err
		}
	}
}

// BudgetWait returns how long to wait until a request could be sent for the customer; it spends nothing.
func (c Conn) BudgetWait(ctx context.Context, customer string) (time.Duration, error) {
	seconds, err := c.queries.BudgetWaitSeconds(ctx, c.dbtx, customer)
	if isNotFound(err) {
		return 0, nil
	}
	return asDuration(seconds), err
}

// HoldBudget keeps all processes from sending a request for the customer for hold. throttles is the number of 429 answers in a row that
// named no time.
func (c Conn) HoldBudget(ctx context.Context, customer string, hold time.Duration, throttles int) error {
	_, err := c.queries.BudgetThrottle(ctx, c.dbtx, &db.BudgetThrottleParams{
		CustomerID: customer, Hold: hold, Throttles: int32(min(throttles, 1<<20)), //nolint:gosec // bounded above
	})
	return err
}

// Spending has how many requests were granted, by job.
type Spending struct {
	Ever  map[string]int64
	Today map[string]int64 // since midnight, UTC
}

// Spent returns how many requests to VOMO were granted for the customer. It is empty if none was.
func (c Conn) Spent(ctx context.Context, customer string) (Spending, error) {
	row, err := c.queries.BudgetSpent(ctx, c.dbtx, customer)
	if isNotFound(err) {
		return newSpending(), nil
	}
	if err != nil {
		return newSpending(), err
	}
	return readSpending(row.Spent, row.Today)
}

func newSpending() Spending { return Spending{Ever: map[string]int64{}, Today: map[string]int64{}} }

func readSpending(ever, today []byte) (Spending, error) {
	spending := newSpending()
	if err := errors.Join(json.Unmarshal(ever, &spending.Ever), json.Unmarshal(today, &spending.Today)); err != nil {
		return spending, fmt.Errorf("decode spending: %w", err)
	}
	return spending, nil
}

func asDuration(seconds float64) time.Duration {
	return max(0, time.Duration(seconds*float64(time.Second)))
}
