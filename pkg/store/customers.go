package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// ResourceUserSync is the resource of the users' checkpoint (docs/guides.md#names).
const ResourceUserSync = "user_sync"

// Names of credentials.
const (
	CredentialVomoToken        = "vomo_token"
	CredentialDestinationToken = "destination_token"
)

// Customer is a row of sync_configs.
type Customer struct {
	ID                     string
	ExternalSystemURL      string
	Destination            []byte // JSON, never with a secret
	PollCadenceMinutes     int32
	AdminEmail             *string
	RequestsPerSecond      *float64 // nil: the installation's setting
	RequestsPerMinute      *float64 // nil: the installation's setting; 0: no limit a minute
	BackfillNotBefore      *time.Time
	QuietHours             []byte // JSON as pkg/window writes it; nil: none
	Enabled                bool
	OnboardedAt            time.Time
	OffboardedAt           *time.Time
	BackfillCompletedAt    *time.Time
	BackfillProcessedCount *int64
	PausedAt               *time.Time // by an operator
	DisabledReason         string     // "auth_failed", or "" where it is enabled or was offboarded
	ActiveSince            *time.Time // from when polls are to be expected
	LastPolledAt           *time.Time // the end of the last successful poll
	PollPageAt             *time.Time // the last page of a poll that has more
	CaughtUpAt             *time.Time // by VOMO's clock: the mirror has what had happened by then
	NextPollAt             *time.Time
	NextReconcileAt        *time.Time
	StampLag               time.Duration // how far VOMO's updated_at lie behind its clock; 0: they do not
	StampLagSince          *time.Time
}

// Active says whether anything may be read or written for the customer.
func (c Customer) Active() bool { return c.Enabled && c.PausedAt == nil && c.OffboardedAt == nil }

// Steady says whether the customer is polled: active, and through its first backfill.
func (c Customer) Steady() bool { return c.Active() && c.BackfillCompletedAt != nil }

// Customer reads one customer; ErrNotFound where nobody of that id was onboarded.
func (c Conn) Customer(ctx context.Context, id string) (Customer, error) {
	row, err := c.queries.SyncConfigGet(ctx, c.dbtx, id)
	if err != nil {
		return Customer{}, wrap("read customer "+id, err)
	}
	return customerFrom(row), nil
}

// Customers reads up to limit customers whose ids come after the given one, in order.
func (c Conn) Customers(ctx context.Context, after string, limit int32) ([]Customer, error) {
	rows, err := c.queries.SyncConfigPage(ctx, c.dbtx, &db.SyncConfigPageParams{After: after, PageSize: limit})
	if err != nil {
		return nil, wrap("list customers", err)
	}
	customers := make([]Customer, 0, len(rows))
	for _, row := range rows {
		same := db.SyncConfigGetRow(*row)
		customers = append(customers, customerFrom(&same))
	}
	return customers, nil
}

func customerFrom(row *db.SyncConfigGetRow) Customer {
	customer := Customer{
		ID: row.CustomerID, ExternalSystemURL: row.ExternalSystemUrl, Destination: row.Destination,
		PollCadenceMinutes: row.PollCadenceMinutes, AdminEmail: row.AdminEmail,
		RequestsPerSecond: row.RequestsPerSecond, RequestsPerMinute: row.RequestsPerMinute, Enabled: row.Enabled,
		OnboardedAt: row.OnboardedAt, OffboardedAt: row.OffboardedAt, BackfillCompletedAt: row.BackfillCompletedAt,
		BackfillProcessedCount: row.BackfillProcessedCount,
		BackfillNotBefore:      row.BackfillNotBefore, QuietHours: row.QuietHours,
		PausedAt: row.PausedAt, ActiveSince: row.ActiveSince, LastPolledAt: row.LastPolledAt, PollPageAt: row.PollPageAt, CaughtUpAt: row.CaughtUpAt,
		NextPollAt: row.NextPollAt, NextReconcileAt: row.NextReconcileAt,
	}
	if row.StampLagMinutes != nil {
		customer.StampLag, customer.StampLagSince = time.Duration(*row.StampLagMinutes)*time.Minute, row.StampLagSince
	}
	if row.DisabledReason != nil {
		customer.DisabledReason = *row.DisabledReason
	}
	return customer
}

// SaveCustomer writes what a request asked for, whose token VOMO has just taken, and enables the customer. The date of a first onboarding is
// kept; that of one who had left begins anew. It returns the date.
func (t *Tx) SaveCustomer(ctx context.Context, customer Customer) (onboardedAt time.Time, err error) {
	onboardedAt, err = t.queries.SyncConfigUpsert(ctx, t.dbtx, &db.SyncConfigUpsertParams{
		CustomerID: customer.ID, ExternalSystemUrl: customer.ExternalSystemURL, Destination: customer.Destination,
		PollCadenceMinutes: customer.PollCadenceMinutes, AdminEmail: customer.AdminEmail,
		RequestsPerSecond: customer.RequestsPerSecond, RequestsPerMinute: customer.RequestsPerMinute,
		BackfillNotBefore: customer.BackfillNotBefore, QuietHours: customer.QuietHours,
	})
	if err != nil {
		return onboardedAt, wrap("save customer", err)
	}
	return onboardedAt, wrap("note that the token works", t.queries.TokenGiven(ctx, t.dbtx, customer.ID))
}

// OffboardCustomer disables the customer and deletes the credentials; known is false where there is no such
// customer.
func (t *Tx) OffboardCustomer(ctx context.Context, id string) (known bool, err error) {
	changed, err := t.queries.SyncConfigOffboardIfKnown(ctx, t.dbtx, id)
	if err != nil {
		return false, wrap("offboard customer", err)
	}
	if err := t.queries.TokenForget(ctx, t.dbtx, id); err != nil {
		return false, wrap("forget the token", err)
	}
	if err := t.queries.CredentialsDelete(ctx, t.dbtx, id); err != nil {
		return false, wrap("delete credentials", err)
	}
	return changed > 0, nil
}

// LockCustomer makes those who set up the same customer wait for one another until the transaction ends.
func (t *Tx) LockCustomer(ctx context.Context, id string) error {
	return wrap("lock customer", t.queries.CustomerLock(ctx, t.dbtx, id))
}

// SaveCredential stores a credential, already sealed; nil removes it.
func (t *Tx) SaveCredential(ctx context.Context, customer, name string, sealed []byte) error {
	if sealed == nil {
		return wrap("delete credential", t.queries.CredentialDelete(ctx, t.dbtx, &db.CredentialDeleteParams{CustomerID: customer, Name: name}))
	}
	return wrap("save credential", t.queries.CredentialUpsert(ctx, t.dbtx, &db.CredentialUpsertParams{CustomerID: customer, Name: name, Sealed: sealed}))
}

// Credential reads a sealed credential; ErrNotFound where there is none.
func (c Conn) Credential(ctx context.Context, customer, name string) ([]byte, error) {
	sealed, err := c.queries.CredentialGet(ctx, c.dbtx, &db.CredentialGetParams{CustomerID: customer, Name: name})
	return sealed, wrap("read credential "+name, err)
}

// StartCheckpoint sets the checkpoint of a new customer to the epoch, so that a first read reads everything;
// one that stands already is kept.
func (t *Tx) StartCheckpoint(ctx context.Context, customer, resource string) error {
	return wrap("start checkpoint", t.queries.CheckpointInsertIfAbsent(ctx, t.dbtx, &db.CheckpointInsertIfAbsentParams{
		CustomerID: customer, Resource: resource, Checkpoint: time.Unix(0, 0).UTC(),
	}))
}

// AdvanceCheckpoint moves the checkpoint forward; it never goes back.
func (t *Tx) AdvanceCheckpoint(ctx context.Context, customer, resource string, to time.Time) error {
	return wrap("advance checkpoint", t.queries.CheckpointAdvance(ctx, t.dbtx, &db.CheckpointAdvanceParams{
		CustomerID: customer, Resource: resource, Checkpoint: to,
	}))
}

// Checkpoint reads the checkpoint; ErrNotFound for a customer who has none.
func (c Conn) Checkpoint(ctx context.Context, customer, resource string) (time.Time, error) {
	at, err := c.queries.CheckpointGet(ctx, c.dbtx, &db.CheckpointGetParams{CustomerID: customer, Resource: resource})
	return at, wrap("read checkpoint", err)
}

// MarkBackfilled notes that the customer's first backfill is complete.
func (t *Tx) MarkBackfilled(ctx context.Context, customer string, processed int64) error {
	return wrap("mark backfill complete", t.queries.SyncConfigMarkBackfilled(ctx, t.dbtx, &db.SyncConfigMarkBackfilledParams{
		CustomerID: customer, Processed: &processed,
	}))
}
