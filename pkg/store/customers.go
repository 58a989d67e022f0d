package store

import (
	"context"
	"encoding/json"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// ResourceUserSync is the resource of the users' checkpoint (docs/guides.md#names).
const ResourceUserSync = "user_sync"

// Names of credentials.
const (
	CredentialVomoToken        = "vomo_token"
	CredentialDestinationToken = "destination_token"
	CredentialVirtuousToken    = "virtuous_token" // the API key, or the access token of a customer with OAuth
	CredentialWebhookSecret    = "virtuous_webhook_secret"
	// CredentialWebhookSecretBefore is the secret that CredentialWebhookSecret replaced. Deliveries that were signed with it are
	// accepted for a day.
	CredentialWebhookSecretBefore = "virtuous_webhook_secret_before"
	// CredentialVirtuousRefreshToken asks for the next access token. A new one may come with each.
	CredentialVirtuousRefreshToken = "virtuous_refresh_token"
	// CredentialVirtuousRefreshGiven is the refresh token of the onboarding request. It tells the same request again from a new one.
	CredentialVirtuousRefreshGiven = "virtuous_refresh_token_given"
)

// Customer is a row of sync_configs.
type Customer struct {
	ID                     string
	ExternalSystemURL      string
	Destination            []byte // JSON, never with a secret
	PollCadenceMinutes     int32
	AdminEmail             *string
	RequestsPerSecond      *float64 // nil: the installation's setting
	RequestsPerMinute      *float64 // nil: the installation's setting; 0: no limit per minute
	BackfillNotBefore      *time.Time
	QuietHours             []byte // JSON as pkg/window writes it; nil: none
	Enabled                bool
	OnboardedAt            time.Time
	OffboardedAt           *time.Time
	BackfillCompletedAt    *time.Time
	BackfillProcessedCount *int64
	PausedAt               *time.Time // by an operator
	DisabledReason         string     // "auth_failed", or "" if it is enabled or was offboarded
	ActiveSince            *time.Time // from when polls are to be expected
	LastPolledAt           *time.Time // the end of the last successful poll
	PollPageAt             *time.Time // the last page of a poll that has more pages
	CaughtUpAt             *time.Time // by VOMO's clock: the mirror has all changes until then
	NextPollAt             *time.Time
	NextReconcileAt        *time.Time
	StampLag               time.Duration // how far VOMO's updated_at lie behind its clock; 0: they do not
	StampLagSince          *time.Time
	WriteBack              []byte   // JSON as WriteBack; nil: nothing is written to VOMO
	Participations         bool     // they are read
	ParticipationsCycle    *float64 // how many seconds the last complete cycle took; nil: there was none
}

// Active says whether anything may be read or written for the customer.
func (c Customer) Active() bool { return c.Enabled && c.PausedAt == nil && c.OffboardedAt == nil }

// Mirrors says whether the customer's users are mirrored. A customer with Virtuous alone has no destination.
func (c Customer) Mirrors() bool {
	var destination struct {
		Kind string `json:"kind"`
	}
	return json.Unmarshal(c.Destination, &destination) == nil && destination.Kind != ""
}

// Steady says whether the customer is polled: it is active, and its first backfill is complete.
func (c Customer) Steady() bool { return c.Active() && c.BackfillCompletedAt != nil }

// Customer returns a customer; ErrNotFound if no customer with that id was onboarded.
func (c Conn) Customer(ctx context.Context, id string) (Customer, error) {
	row, err := c.statements.Customer(ctx, id)
	return Customer(row), err
}

// Customers returns up to limit customers whose ids come after the given one, in order.
func (c Conn) Customers(ctx context.Context, after string, limit int32) ([]Customer, error) {
	rows, err := c.statements.Customers(ctx, after, limit)
	customers := make([]Customer, 0, len(rows))
	for _, row := range rows {
		customers = append(customers, Customer(row))
	}
	return customers, err
}

// SaveCustomer writes the settings of a request whose token VOMO has just accepted, and enables the customer. It keeps the date of
// the first onboarding, unless the customer was offboarded since, and returns the date.
func (t *Tx) SaveCustomer(ctx context.Context, customer Customer) (onboardedAt time.Time, err error) {
	onboardedAt, err = t.queries.SyncConfigUpsert(ctx, t.dbtx, &db.SyncConfigUpsertParams{
		CustomerID: customer.ID, ExternalSystemUrl: customer.ExternalSystemURL, Destination: customer.Destination,
		PollCadenceMinutes: customer.PollCadenceMinutes, AdminEmail: customer.AdminEmail,
		RequestsPerSecond: customer.RequestsPerSecond, RequestsPerMinute: customer.RequestsPerMinute,
		BackfillNotBefore: customer.BackfillNotBefore, QuietHours: customer.QuietHours, WriteBack: customer.WriteBack, Participations: customer.Participations,
	})
	if err != nil {
		return onboardedAt, err
	}
	return onboardedAt, t.queries.TokenGiven(ctx, t.dbtx, customer.ID)
}

// OffboardCustomer disables the customer and deletes the credentials, links and API tokens; known is false if there is no such customer.
func (t *Tx) OffboardCustomer(ctx context.Context, id string) (known bool, err error) {
	changed, err := t.queries.SyncConfigOffboardIfKnown(ctx, t.dbtx, id)
	if err != nil {
		return false, err
	}
	if err := t.queries.TokenForget(ctx, t.dbtx, id); err != nil {
		return false, err
	}
	if err := t.queries.CredentialsDelete(ctx, t.dbtx, id); err != nil {
		return false, err
	}
	archived, err := t.DeleteArchive(ctx, id)
	if err != nil {
		return false, err
	}
	if archived {
		err = t.queries.SyncConfigUnmarkBackfilled(ctx, t.dbtx, id)
	}
	return changed > 0, err
}

// LockCustomer locks the setup of a customer until the transaction ends: two processes set it up one after the other.
func (t *Tx) LockCustomer(ctx context.Context, id string) error {
	return t.queries.CustomerLock(ctx, t.dbtx, id)
}

// SaveCredential stores a credential, already sealed; nil removes it.
func (t *Tx) SaveCredential(ctx context.Context, customer, name string, sealed []byte) error {
	if sealed == nil {
		return t.queries.CredentialDelete(ctx, t.dbtx, &db.CredentialDeleteParams{CustomerID: customer, Name: name})
	}
	return t.queries.CredentialUpsert(ctx, t.dbtx, &db.CredentialUpsertParams{CustomerID: customer, Name: name, Sealed: sealed})
}

// StartCheckpoint sets the checkpoint of a new customer to the year 1970, so that the first scan reads all users. It keeps a checkpoint
// that exists.
func (t *Tx) StartCheckpoint(ctx context.Context, customer, resource string) error {
	return t.queries.CheckpointInsertIfAbsent(ctx, t.dbtx, &db.CheckpointInsertIfAbsentParams{
		CustomerID: customer, Resource: resource, Checkpoint: time.Unix(0, 0).UTC(),
	})
}

// AdvanceCheckpoint moves the checkpoint forward; it never goes back.
func (t *Tx) AdvanceCheckpoint(ctx context.Context, customer, resource string, to time.Time) error {
	params := &db.CheckpointAdvanceParams{CustomerID: customer, Resource: resource, Checkpoint: to}
	return t.deferred(func(on db.DBTX) error { return t.queries.CheckpointAdvance(ctx, on, params) })
}

// MarkBackfilled notes that the customer's first backfill is complete.
func (t *Tx) MarkBackfilled(ctx context.Context, customer string, processed int64) error {
	return t.queries.SyncConfigMarkBackfilled(ctx, t.dbtx, &db.SyncConfigMarkBackfilledParams{
		CustomerID: customer, Processed: &processed,
	})
}
