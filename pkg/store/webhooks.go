package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// WebhookSecrets are the sealed secrets that sign deliveries of the customer's organization; nil if there is none.
type WebhookSecrets struct {
	Secret, Before []byte
	Organization   string
}

// WebhookSecrets returns the customer's secrets. ErrNotFound if the customer has no giving, or is offboarded.
func (c Conn) WebhookSecrets(ctx context.Context, customer string) (WebhookSecrets, error) {
	row, err := c.queries.WebhookSecrets(ctx, c.dbtx, customer)
	if err != nil {
		return WebhookSecrets{}, err
	}
	return WebhookSecrets{Secret: row.Secret, Before: row.SecretBefore, Organization: row.OrganizationID}, nil
}

// States of parts in the inbox, besides waiting.
const (
	InboxApplied = "applied"
	InboxLetter  = "letter" // all of it, or some of its records, became letters
)

// InboxPart is a part of a delivery.
type InboxPart struct {
	ID         int64
	Digest     []byte // recognises a part that comes again
	Event      string
	Records    int
	Sealed     []byte
	Attempts   int // claims
	Failures   int // attempts that failed because of the part, or of one of its records
	TraceID    string
	ReceivedAt time.Time
	// Organization is that of the delivery. AddInboxPart alone reads it: a part in the inbox is of the customer's organization.
	Organization string
}

// AddInboxPart adds a part; added is false if it is known, or if the customer has no giving any more or that of another organization.
func (c Conn) AddInboxPart(ctx context.Context, customer string, part InboxPart) (added bool, err error) {
	rows, err := c.queries.InboxInsertIfNew(ctx, c.dbtx, &db.InboxInsertIfNewParams{
		CustomerID: customer, Digest: part.Digest, Event: part.Event, Records: column(part.Records), Sealed: part.Sealed, TraceID: part.TraceID,
		ReceivedAt: part.ReceivedAt, OrganizationID: part.Organization,
	})
	return rows > 0, err
}

// InboxCustomers returns the active customers with a part that is due.
func (c Conn) InboxCustomers(ctx context.Context) ([]string, error) {
	return c.queries.InboxCustomers(ctx, c.dbtx)
}

// ClaimInboxParts returns up to atMost parts of a customer that are due. No other process gets them before claimFor has passed.
func (c Conn) ClaimInboxParts(ctx context.Context, customer string, claimFor time.Duration, atMost int32) ([]InboxPart, error) {
	rows, err := c.queries.InboxDue(ctx, c.dbtx, &db.InboxDueParams{CustomerID: customer, ClaimFor: claimFor, AtMost: atMost})
	parts := make([]InboxPart, 0, len(rows))
	for _, row := range rows {
		parts = append(parts, InboxPart{
			ID: row.ID, Event: row.Event, Records: int(row.Records), Sealed: row.Sealed, Attempts: int(row.Attempts), Failures: int(row.Failures),
			TraceID:    row.TraceID,
			ReceivedAt: row.ReceivedAt,
		})
	}
	return parts, err
}

// InboxEnd is what became of the records of a part.
type InboxEnd struct {
	State                    string
	Applied, Skipped, Failed int
}

// EndInboxPart ends the work on a claimed part; ended is false if the claim does not count any more: another process claimed the part
// since, or it came again since.
func (t *Tx) EndInboxPart(ctx context.Context, customer string, claimed InboxPart, end InboxEnd) (ended bool, err error) {
	rows, err := t.queries.InboxSettleIfWaiting(ctx, t.dbtx, &db.InboxSettleIfWaitingParams{
		CustomerID: customer, ID: claimed.ID, Attempts: column(claimed.Attempts), ReceivedAt: claimed.ReceivedAt,
		State: end.State, Applied: column(end.Applied), Skipped: column(end.Skipped), Failed: column(end.Failed),
	})
	return rows > 0, err
}

// PostponeInboxPart has a claimed part worked again after delay; failed counts the attempt as one of its failures. postponed is false if the
// claim does not count any more.
func (c Conn) PostponeInboxPart(
	ctx context.Context, customer string, claimed InboxPart, delay time.Duration, failed bool,
) (postponed bool, err error) {
	rows, err := c.queries.InboxPostponeIfWaiting(ctx, c.dbtx, &db.InboxPostponeIfWaitingParams{
		CustomerID: customer, ID: claimed.ID, Attempts: column(claimed.Attempts), ReceivedAt: claimed.ReceivedAt, Delay: delay, Failed: failed,
	})
	return rows > 0, err
}

// ForgetInboxParts deletes up to atMost parts that were received longer than age ago, and returns how many it deleted.
func (c Conn) ForgetInboxParts(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.InboxForgetOld(ctx, c.dbtx, &db.InboxForgetOldParams{OlderThan: age, AtMost: atMost})
}
