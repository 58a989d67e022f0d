package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// ReconcileDue is a customer whose daily reconciliation is due, or who has no time for it yet.
type ReconcileDue struct {
	Customer   string
	QuietHours []byte     // JSON as pkg/window writes it; nil: none
	DueAt      *time.Time // nil: it has to be given one
}

// DuePolls moves up to atMost customers whose poll is due, and as many that have no time for it yet, on to their next slot, and
// returns them: each is returned to one caller, which starts a run for it in the same transaction.
func (t *Tx) DuePolls(ctx context.Context, atMost int32) ([]string, error) {
	customers, err := t.queries.PollsScheduleDue(ctx, t.dbtx, atMost)
	return customers, err
}

// LockReconcileDue locks up to atMost customers whose daily reconciliation is due, and as many who have no time for it yet.
// Each is locked by one caller, who gives it its next time.
func (t *Tx) LockReconcileDue(ctx context.Context, atMost int32) ([]ReconcileDue, error) {
	rows, err := t.queries.SyncConfigsLockReconcileDue(ctx, t.dbtx, atMost)
	if err != nil {
		return nil, err
	}
	due := make([]ReconcileDue, 0, len(rows))
	for _, row := range rows {
		due = append(due, ReconcileDue{Customer: row.CustomerID, QuietHours: row.QuietHours, DueAt: row.NextReconcileAt})
	}
	return due, nil
}

// Reconciled is the last day of the customer that was reconciled, or that before its backfill.
func (t *Tx) Reconciled(ctx context.Context, customer string) (time.Time, error) {
	day, err := t.queries.SyncConfigReconciled(ctx, t.dbtx, customer)
	return day.Time, err
}

// SetNextReconcile says when the customer's next daily reconciliation is due.
func (t *Tx) SetNextReconcile(ctx context.Context, customer string, at time.Time) error {
	return t.queries.SyncConfigSetNextReconcile(ctx, t.dbtx, &db.SyncConfigSetNextReconcileParams{
		CustomerID: customer, NextReconcileAt: &at,
	})
}

// MarkPolled notes the heartbeat: a poll came to its end, and the mirror has what had happened by caughtUpAt of
// VOMO's clock.
func (t *Tx) MarkPolled(ctx context.Context, customer string, caughtUpAt time.Time) error {
	params := &db.SyncConfigMarkPolledParams{CustomerID: customer, CaughtUpAt: &caughtUpAt}
	return t.deferred(func(on db.DBTX) error { return t.queries.SyncConfigMarkPolled(ctx, on, params) })
}

// MarkPollPage notes that a poll which has more pages to read has committed one.
func (t *Tx) MarkPollPage(ctx context.Context, customer string) error {
	return t.deferred(func(on db.DBTX) error { return t.queries.SyncConfigMarkPollPage(ctx, on, customer) })
}

// DisableCustomer switches a customer off for a reason; changed is false where it is off already.
func (t *Tx) DisableCustomer(ctx context.Context, customer, reason string) (changed bool, err error) {
	rows, err := t.queries.SyncConfigDisable(ctx, t.dbtx, &db.SyncConfigDisableParams{CustomerID: customer, Reason: reason})
	return rows > 0, err
}

// PauseCustomer stops all work for a customer; changed is false where it is paused already.
func (t *Tx) PauseCustomer(ctx context.Context, customer string) (changed bool, err error) {
	rows, err := t.queries.SyncConfigPause(ctx, t.dbtx, customer)
	return rows > 0, err
}

// ResumeCustomer lets the work go on, a poll at once; changed is false where the customer is not paused.
func (t *Tx) ResumeCustomer(ctx context.Context, customer string) (changed bool, err error) {
	rows, err := t.queries.SyncConfigResume(ctx, t.dbtx, customer)
	return rows > 0, err
}
