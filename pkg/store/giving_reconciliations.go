package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// AskGivingReconciliations makes categories due for customers, with the place of each in the order in which they are worked. scheduled
// is false if an operator asks.
func (t *Tx) AskGivingReconciliations(ctx context.Context, customers, categories []string, places []int32, scheduled bool) error {
	return t.queries.GivingReconcileAsk(ctx, t.dbtx, &db.GivingReconcileAskParams{
		CustomerIds: customers, Categories: categories, Places: places, Scheduled: scheduled,
	})
}

// TakeGivingReconcileDue returns up to atMost customers whose scheduled reconciliation is due, and sets the next time of each.
func (t *Tx) TakeGivingReconcileDue(ctx context.Context, every time.Duration, atMost int32) ([]string, error) {
	return t.queries.GivingReconcileTakeDue(ctx, t.dbtx, &db.GivingReconcileTakeDueParams{Every: every, AtMost: atMost})
}

// GivingReconcileCustomers returns the customers of up to atMost due categories that are neither paused nor held, each once.
func (c Conn) GivingReconcileCustomers(ctx context.Context, atMost int32) ([]DonationCustomer, error) {
	rows, err := c.queries.GivingReconcileCustomers(ctx, c.dbtx, atMost)
	customers := make([]DonationCustomer, 0, len(rows))
	seen := map[string]bool{}
	for _, row := range rows {
		if seen[row.CustomerID] {
			continue
		}
		seen[row.CustomerID] = true
		customers = append(customers, DonationCustomer{ID: row.CustomerID, RenewedAt: row.RenewedAt})
	}
	return customers, err
}

// GivingReconciliation is a category that is due for a customer.
type GivingReconciliation struct {
	Category  string
	Scheduled bool
	AskedAt   time.Time
	Progress  []byte // JSON of the category's own
	Failures  int    // in a row
	Fault     string // why the last one failed, as a reason of package event; "" if none did
}

// GivingReconciliations returns the customer's due categories in their order, without those that wait after a fault.
func (c Conn) GivingReconciliations(ctx context.Context, customer string) ([]GivingReconciliation, error) {
	rows, err := c.queries.GivingReconciliations(ctx, c.dbtx, customer)
	due := make([]GivingReconciliation, 0, len(rows))
	for _, row := range rows {
		due = append(due, GivingReconciliation{
			Category: row.Category, Scheduled: row.Scheduled, AskedAt: row.AskedAt, Progress: row.Progress,
			Failures: int(row.Failures), Fault: row.Fault,
		})
	}
	return due, err
}

// SetGivingProgress stores where a pass goes on; answered says that Virtuous answered it. ErrLaneLost if the pass is not due any
// more: giving was removed meanwhile.
func (t *Tx) SetGivingProgress(ctx context.Context, customer, category string, progress any, answered bool) error {
	encoded, err := json.Marshal(progress)
	if err != nil {
		return fmt.Errorf("encode progress: %w", err)
	}
	rows, err := t.queries.GivingReconcileProgress(ctx, t.dbtx, &db.GivingReconcileProgressParams{
		CustomerID: customer, Category: category, Progress: encoded, Answered: answered,
	})
	return stillMine(rows, err, "note progress of a reconciliation")
}

// PostponeGivingReconciliation has one category wait, because of a fault that concerns no other work.
func (t *Tx) PostponeGivingReconciliation(ctx context.Context, customer, category, fault string, delay time.Duration) error {
	rows, err := t.queries.GivingReconcilePostpone(ctx, t.dbtx, &db.GivingReconcilePostponeParams{
		CustomerID: customer, Category: category, Fault: fault, Delay: delay,
	})
	return stillMine(rows, err, "postpone a reconciliation")
}

// ReadsAreForbidden reports whether a category of reconciliation waits because the key may not read what it needs.
func (c Conn) ReadsAreForbidden(ctx context.Context, customer string) (bool, error) {
	return c.queries.GivingReadsForbidden(ctx, c.dbtx, customer)
}

// EndGivingReconciliation ends a pass. If it was the last one of the schedule, the customer's giving counts as reconciled now.
func (t *Tx) EndGivingReconciliation(ctx context.Context, customer, category string) error {
	isLast, err := t.queries.GivingReconcileEnd(ctx, t.dbtx, &db.GivingReconcileEndParams{CustomerID: customer, Category: category})
	if err != nil || !isLast {
		return err
	}
	return t.NoteGivingReconciled(ctx, customer)
}

// Place is a place in an order by time and id.
type Place struct {
	At time.Time `json:"at"`
	ID int64     `json:"id"`
}

// AnyImportNotRun reports whether a donation or contact is in review because no import was run.
func (c Conn) AnyImportNotRun(ctx context.Context, customer string) (bool, error) {
	return c.queries.DonationImportNotRun(ctx, c.dbtx, customer)
}

// ExpectsWebhooks reports whether the customer has had a webhook for longer than a time, so that deliveries should have come.
func (c Conn) ExpectsWebhooks(ctx context.Context, customer string, longerThan time.Duration) (bool, error) {
	return c.queries.GivingExpectsWebhooks(ctx, c.dbtx, &db.GivingExpectsWebhooksParams{
		CustomerID: customer, Secret: CredentialWebhookSecret, LongerThan: longerThan,
	})
}

// NoteReadSince notes from when on a complete pass of missed_webhook has read.
func (t *Tx) NoteReadSince(ctx context.Context, customer string, since time.Time) error {
	return t.queries.GivingNoteReadSince(ctx, t.dbtx, &db.GivingNoteReadSinceParams{CustomerID: customer, Since: since})
}

// VirtuousCheckpoint returns the start of the last completed pass over a resource; ErrNotFound if there was none.
func (c Conn) VirtuousCheckpoint(ctx context.Context, customer, resource string) (time.Time, error) {
	return c.queries.VirtuousCheckpoint(ctx, c.dbtx, &db.VirtuousCheckpointParams{CustomerID: customer, Resource: resource})
}

// ReconciliationEntry is what a reconciliation with Virtuous did to one record. Details has ids and field names, and nothing of donors.
type ReconciliationEntry struct {
	PlatformID string // "" if the record is not from the platform
	VirtuousID int64  // 0 if Virtuous has none
	Entity     string // "donation", "gift" or "contact"
	Resolution string
	Details    map[string]any
}

// LogReconciliation adds a row for each entry.
func (t *Tx) LogReconciliation(ctx context.Context, customer, category string, job int64, traceID string, entries ...ReconciliationEntry) error {
	if len(entries) == 0 {
		return nil
	}
	params := &db.ReconciliationLogInsertParams{CustomerID: customer, Category: category, JobID: job, TraceID: traceID}
	for _, entry := range entries {
		if entry.Details == nil {
			entry.Details = map[string]any{}
		}
		details, err := json.Marshal(entry.Details)
		if err != nil {
			return fmt.Errorf("encode details: %w", err)
		}
		params.PlatformRecordIds = append(params.PlatformRecordIds, entry.PlatformID)
		params.VirtuousRecordIds = append(params.VirtuousRecordIds, entry.VirtuousID)
		params.Resolutions = append(params.Resolutions, entry.Resolution)
		params.Details = append(params.Details, string(details))
		params.Entities = append(params.Entities, entry.Entity)
	}
	return t.queries.ReconciliationLogInsert(ctx, t.dbtx, params)
}
