package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Why a user was not in the mirror as a reconciliation expected.
const (
	GapNotInMapping   = "not_in_mapping"
	GapStaleInMapping = "stale_in_mapping"
)

// Gap is a user that polls should have written, and whose mapping does not have this version.
type Gap struct {
	VomoID    string
	Reason    string
	UpdatedAt time.Time
}

// Reconciliation is the record of one that is complete.
type Reconciliation struct {
	Type        string
	Date        time.Time
	Expected    int64
	Gaps        int64
	Failures    int64
	Verified    *bool
	StartedAt   time.Time
	CompletedAt time.Time
}

// NoteGaps notes gaps under the reconciliation's line in the job log, each user once.
func (t *Tx) NoteGaps(ctx context.Context, jobID int64, customer string, gaps []Gap) error {
	if len(gaps) == 0 {
		return nil
	}
	params := &db.ReconciliationGapsInsertParams{JobID: jobID, CustomerID: customer}
	for _, gap := range gaps {
		params.Ids = append(params.Ids, gap.VomoID)
		params.Reasons = append(params.Reasons, gap.Reason)
		params.UpdatedAts = append(params.UpdatedAts, gap.UpdatedAt)
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.ReconciliationGapsInsert(ctx, on, params) })
}

// RecordReconciliation records a run that is complete, with the gaps that were noted for it, and returns how many
// those are.
func (t *Tx) RecordReconciliation(ctx context.Context, run Run, verified bool) (gaps int64, err error) {
	err = t.queries.ReconciliationInsert(ctx, t.dbtx, &db.ReconciliationInsertParams{
		CustomerID: run.Customer, Type: run.Kind, Date: dateOf(run.Day), JobID: run.JobID, TraceID: &run.TraceID,
		ExpectedCount: run.Processed, FailureCount: run.Failures, Verified: &verified, StartedAt: run.CreatedAt,
	})
	if err != nil {
		return 0, err
	}
	gaps, err = t.queries.ReconciliationGapCount(ctx, t.dbtx, run.JobID)
	return gaps, err
}

// RecentReconciliations are those of a type that were completed within the given time, newest first, 100 at most.
func (c Conn) RecentReconciliations(ctx context.Context, customer, kind string, within time.Duration) ([]Reconciliation, error) {
	const atMost = 100
	rows, err := c.queries.ReconciliationsRecent(ctx, c.dbtx, &db.ReconciliationsRecentParams{
		CustomerID: customer, Type: kind, Within: within, AtMost: atMost,
	})
	if err != nil {
		return nil, err
	}
	recent := make([]Reconciliation, 0, len(rows))
	for _, row := range rows {
		recent = append(recent, Reconciliation{
			Type: row.Type, Date: row.Date.Time, Expected: row.ExpectedCount, Gaps: row.GapCount, Failures: row.FailureCount,
			Verified: row.Verified, StartedAt: row.StartedAt, CompletedAt: row.CompletedAt,
		})
	}
	return recent, nil
}

// LatestReconciliation returns the customer's newest record of a type; ErrNotFound if there is none.
func (c Conn) LatestReconciliation(ctx context.Context, customer, kind string) (Reconciliation, error) {
	row, err := c.queries.ReconciliationLatest(ctx, c.dbtx, &db.ReconciliationLatestParams{CustomerID: customer, Type: kind})
	if err != nil {
		return Reconciliation{}, err
	}
	return Reconciliation{
		Type: row.Type, Date: row.Date.Time, Expected: row.ExpectedCount, Gaps: row.GapCount, Failures: row.FailureCount,
		Verified: row.Verified, StartedAt: row.StartedAt, CompletedAt: row.CompletedAt,
	}, nil
}
