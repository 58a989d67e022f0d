package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/store/internal/db"
)

// VirtuousBudgets has the budgets of requests to Virtuous. Its methods are those that Conn has for VOMO.
// It is a budget.HourlyLedger.
type VirtuousBudgets struct{ conn Conn }

// VirtuousBudgets returns the budgets of requests to Virtuous.
func (c Conn) VirtuousBudgets() VirtuousBudgets { return VirtuousBudgets{conn: c} }

// TakeGrant is Conn.TakeGrant.
func (b VirtuousBudgets) TakeGrant(ctx context.Context, customer, job string, step, patience time.Duration) (wait time.Duration, granted bool, err error) {
	c := b.conn
	return takeGrant(ctx, patience, budgetRow{
		take: func(ctx context.Context) (float64, error) {
			return c.queries.VirtuousBudgetTake(ctx, c.dbtx, &db.VirtuousBudgetTakeParams{
				CustomerID: customer, Job: job, Step: step, Patience: patience, Burst: budget.HourlyBurst,
			})
		},
		wait: func(ctx context.Context) (float64, error) {
			return c.queries.VirtuousBudgetWaitSeconds(ctx, c.dbtx, customer)
		},
		insert: func(ctx context.Context) error { return c.queries.VirtuousBudgetInsertIfAbsent(ctx, c.dbtx, customer) },
	})
}

// BudgetWait is Conn.BudgetWait.
func (b VirtuousBudgets) BudgetWait(ctx context.Context, customer string) (time.Duration, error) {
	seconds, err := b.conn.queries.VirtuousBudgetWaitSeconds(ctx, b.conn.dbtx, customer)
	if isNotFound(err) {
		return 0, nil
	}
	return asDuration(seconds), err
}

// HoldBudget is Conn.HoldBudget.
func (b VirtuousBudgets) HoldBudget(ctx context.Context, customer string, hold time.Duration, throttles int) error {
	_, err := b.conn.queries.VirtuousBudgetThrottle(ctx, b.conn.dbtx, &db.VirtuousBudgetThrottleParams{
		CustomerID: customer, Hold: hold, Throttles: int32(min(throttles, 1<<20)), //nolint:gosec // bounded above
	})
	return err
}

// Throttles is Conn.Throttles.
func (b VirtuousBudgets) Throttles(ctx context.Context, customer string) (int, error) {
	throttles, err := b.conn.queries.VirtuousThrottles(ctx, b.conn.dbtx, customer)
	return int(throttles), err
}

// ForgetThrottles is Conn.ForgetThrottles.
func (b VirtuousBudgets) ForgetThrottles(ctx context.Context, customer string) error {
	return b.conn.queries.VirtuousForgetThrottles(ctx, b.conn.dbtx, customer)
}

// Spent is Conn.Spent.
func (b VirtuousBudgets) Spent(ctx context.Context, customer string) (Spending, error) {
	row, err := b.conn.queries.VirtuousBudgetSpent(ctx, b.conn.dbtx, customer)
	if isNotFound(err) {
		return newSpending(), nil
	}
	if err != nil {
		return newSpending(), err
	}
	return readSpending(row.Spent, row.Today)
}

// SeenQuota returns what NoteQuota stored.
func (b VirtuousBudgets) SeenQuota(ctx context.Context, customer string) (budget.Quota, error) {
	row, err := b.conn.queries.VirtuousBudgetSeen(ctx, b.conn.dbtx, customer)
	if isNotFound(err) {
		return budget.Quota{Remaining: -1}, nil
	}
	if err != nil {
		return budget.Quota{}, err
	}
	seen := budget.Quota{Limit: int64(row.HourLimit), Remaining: int64(row.Remaining)}
	if row.ResetAt != nil {
		seen.ResetAt = *row.ResetAt
	}
	return seen, nil
}

// NoteQuota stores what Virtuous said of the requests of all integrations together. Of two quotas before the same reset, the lesser
// remainder stays: two processes may note theirs at once.
func (b VirtuousBudgets) NoteQuota(ctx context.Context, customer string, quota budget.Quota) error {
	params := &db.VirtuousBudgetNoteParams{
		CustomerID: customer, HourLimit: int32(min(max(quota.Limit, 0), 1<<30)),
		Remaining: int32(min(quota.Remaining, 1<<30)), //nolint:gosec // -1 or more
	}
	if !quota.ResetAt.IsZero() {
		params.ResetAt = &quota.ResetAt
	}
	return b.conn.queries.VirtuousBudgetNote(ctx, b.conn.dbtx, params)
}
