package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// longestStampLag bounds how far polls reach back, and so what they read again each time.
const longestStampLag = 24 * time.Hour

// LateGaps are gaps of the last week whose updated_at lay more than some time behind the moment at which they were read.
type LateGaps struct {
	Recent int64         // of all reconciliations of the week
	Now    int64         // of the one in hand
	Lag    time.Duration // how far the newest of those lay behind
}

// LateGaps returns the customer's gaps that lay more than laterThan behind, after the reconciliation in hand was recorded.
func (t *Tx) LateGaps(ctx context.Context, run Run, laterThan time.Duration) (LateGaps, error) {
	row, err := t.queries.ReconciliationLateGaps(ctx, t.dbtx, &db.ReconciliationLateGapsParams{
		JobID: run.JobID, CustomerID: run.Customer, Type: run.Kind, LaterThan: laterThan,
	})
	if err != nil {
		return LateGaps{}, err
	}
	return LateGaps{Recent: row.Recent, Now: row.Now, Lag: time.Duration(row.Minutes) * time.Minute}, nil
}

// RaiseStampLag notes that VOMO's updated_at lie behind its clock, by at least what is known of it so far.
func (t *Tx) RaiseStampLag(ctx context.Context, customer string, lag time.Duration) error {
	return t.queries.SyncConfigRaiseStampLag(ctx, t.dbtx, &db.SyncConfigRaiseStampLagParams{
		CustomerID: customer, Minutes: minutesOf(lag),
	})
}

// MeasureStampLag replaces what is known of the lag by a measurement; it does nothing where no lag is known.
func (t *Tx) MeasureStampLag(ctx context.Context, customer string, lag time.Duration) error {
	params := &db.SyncConfigMeasureStampLagParams{CustomerID: customer, Minutes: minutesOf(lag)}
	return t.deferred(func(on db.DBTX) error { return t.queries.SyncConfigMeasureStampLag(ctx, on, params) })
}

// EndStampLag forgets the lag if no change came late for so long.
func (t *Tx) EndStampLag(ctx context.Context, customer string, after time.Duration) error {
	return t.queries.SyncConfigEndStampLag(ctx, t.dbtx, &db.SyncConfigEndStampLagParams{
		CustomerID: customer, After: after,
	})
}

func minutesOf(lag time.Duration) int32 {
	return int32((min(max(lag, 0), longestStampLag) + time.Minute - 1) / time.Minute)
}
