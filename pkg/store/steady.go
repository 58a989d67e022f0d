package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// RequeueSyncRuns makes all of the customer's unfinished runs due at once, whoever worked them before: for a customer
// whose lane was fenced. The caller owes the bus a request for each.
func (t *Tx) RequeueSyncRuns(ctx context.Context, customer string) ([]Unparked, error) {
	rows, err := t.queries.SyncRunsRequeue(ctx, t.dbtx, customer)
	if err != nil {
		return nil, wrap("requeue runs", err)
	}
	requeued := make([]Unparked, 0, len(rows))
	for _, row := range rows {
		requeued = append(requeued, Unparked{ID: row.ID, Kind: row.Kind})
	}
	return requeued, nil
}

// RequeueOpenRun does the same with the customer's backfill; ErrNotFound where none is open, or where an operator
// paused it.
func (t *Tx) RequeueOpenRun(ctx context.Context, customer string) (id int64, err error) {
	id, err = t.queries.RunRequeueIfOpen(ctx, t.dbtx, customer)
	return id, wrap("requeue backfill", err)
}

// LatestReconciliation is the customer's newest record of a type; ErrNotFound where there is none.
func (c Conn) LatestReconciliation(ctx context.Context, customer, kind string) (Reconciliation, error) {
	row, err := c.queries.ReconciliationLatest(ctx, c.dbtx, &db.ReconciliationLatestParams{CustomerID: customer, Type: kind})
	if err != nil {
		return Reconciliation{}, wrap("read reconciliation", err)
	}
	return Reconciliation{
		Type: row.Type, Date: row.Date.Time, Expected: row.ExpectedCount, Gaps: row.GapCount, Failures: row.FailureCount,
		Verified: row.Verified, StartedAt: row.StartedAt, CompletedAt: row.CompletedAt,
	}, nil
}

// LatestOutcomes are the outcomes of the newest closed lines of a job; customers without one are left out.
func (c Conn) LatestOutcomes(ctx context.Context, customers []string, job string) (map[string]string, error) {
	rows, err := c.queries.JobsLatestFor(ctx, c.dbtx, &db.JobsLatestForParams{CustomerIds: customers, Job: job})
	if err != nil {
		return nil, wrap("read newest jobs", err)
	}
	outcomes := make(map[string]string, len(rows))
	for _, row := range rows {
		if row.Outcome != nil {
			outcomes[row.CustomerID] = *row.Outcome
		}
	}
	return outcomes, nil
}

// RewritesOwed says which of the customers have a rewrite that was not brought to its end.
func (c Conn) RewritesOwed(ctx context.Context, customers []string) (map[string]bool, error) {
	rows, err := c.queries.RewritesOwedFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, wrap("read rewrites", err)
	}
	owed := make(map[string]bool, len(rows))
	for _, row := range rows {
		owed[row] = true
	}
	return owed, nil
}
