package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// ContactTransactionRow is a contact of the platform without what is sealed.
type ContactTransactionRow struct {
	ID                                                 int64
	ReferenceID, Status, TransactionSource             string
	Attempts                                           int
	NextAttemptAt, AttemptStartedAt, UnansweredSince   *time.Time
	SubmittedAt, LookedUpAt, NextLookupAt, ConfirmedAt *time.Time
	Repeated                                           bool
	ContactID                                          int64 // at Virtuous; 0: it is not known
	RecoveryPath, ReviewReason, LastError, CloseReason string
	PartnerModifiedAt, CompareWantedAt                 *time.Time
	CreatedAt, StatusAt                                time.Time
	IsAttempting                                       bool // an attempt is under way; only of a single contact
}

// ContactTransactions returns up to atMost of the platform's contacts with ids below before, newest first; status "" means every one.
func (c Conn) ContactTransactions(ctx context.Context, customer, status string, before int64, atMost int32) ([]ContactTransactionRow, error) {
	var all []ContactTransactionRow
	if status == "" {
		rows, err := c.queries.ContactTransactionsPage(ctx, c.dbtx, &db.ContactTransactionsPageParams{CustomerID: customer, Before: before, AtMost: atMost})
		for _, row := range rows {
			all = append(all, contactTransactionRow(db.ContactTransactionOfRow(*row)))
		}
		return all, err
	}
	rows, err := c.queries.ContactTransactionsPageInState(ctx, c.dbtx, &db.ContactTransactionsPageInStateParams{
		CustomerID: customer, Status: status, Before: before, AtMost: atMost,
	})
	for _, row := range rows {
		all = append(all, contactTransactionRow(db.ContactTransactionOfRow(*row)))
	}
	return all, err
}

// ContactTransaction returns a contact of the platform by its reference; ErrNotFound if there is none.
func (c Conn) ContactTransaction(ctx context.Context, customer, reference string) (ContactTransactionRow, error) {
	return c.contactTransaction(ctx, db.ContactTransactionOfParams{CustomerID: customer, ReferenceID: given(reference)})
}

// ContactTransactionByID returns a contact of the platform by its own id; ErrNotFound if there is none.
func (c Conn) ContactTransactionByID(ctx context.Context, customer string, id int64) (ContactTransactionRow, error) {
	return c.contactTransaction(ctx, db.ContactTransactionOfParams{CustomerID: customer, ID: &id})
}

func (c Conn) contactTransaction(ctx context.Context, of db.ContactTransactionOfParams) (ContactTransactionRow, error) {
	row, err := c.queries.ContactTransactionOf(ctx, c.dbtx, &of)
	if err != nil {
		return ContactTransactionRow{}, err
	}
	return contactTransactionRow(*row), nil
}

func contactTransactionRow(row db.ContactTransactionOfRow) ContactTransactionRow {
	return ContactTransactionRow{
		ID: row.ID, ReferenceID: row.ReferenceID, Status: row.Status, TransactionSource: row.TransactionSource, Attempts: int(row.Attempts),
		NextAttemptAt: row.NextAttemptAt, AttemptStartedAt: row.AttemptStartedAt, UnansweredSince: row.UnansweredSince, SubmittedAt: row.SubmittedAt,
		Repeated: row.Repeated, LookedUpAt: row.LookedUpAt, NextLookupAt: row.NextLookupAt, ConfirmedAt: row.ConfirmedAt,
		ContactID: row.VirtuousContactID, RecoveryPath: row.RecoveryPath, ReviewReason: row.ReviewReason, LastError: row.LastError,
		CloseReason: row.CloseReason, PartnerModifiedAt: row.PartnerModifiedAt, CompareWantedAt: row.CompareWantedAt,
		CreatedAt: row.CreatedAt, StatusAt: row.StatusAt, IsAttempting: row.IsAttempting,
	}
}

// PlatformContact is a contact of the platform by its reference.
type PlatformContact struct{ ReferenceID, Status string }

// ContactsOfVirtuousContact returns the platform's contacts that are one contact at Virtuous.
func (c Conn) ContactsOfVirtuousContact(ctx context.Context, customer string, id int64) ([]PlatformContact, error) {
	rows, err := c.queries.ContactsOfVirtuousContact(ctx, c.dbtx, &db.ContactsOfVirtuousContactParams{CustomerID: customer, VirtuousContactID: id})
	contacts := make([]PlatformContact, 0, len(rows))
	for _, row := range rows {
		contacts = append(contacts, PlatformContact(*row))
	}
	return contacts, err
}

// RetryContact makes a failed contact, or one that needs review, pending; changed is false if it is not in the state in which it was read.
func (c Conn) RetryContact(ctx context.Context, customer string, one ContactTransactionRow) (changed bool, err error) {
	return isChanged(c.queries.ContactRetryIf(ctx, c.dbtx, &db.ContactRetryIfParams{CustomerID: customer, ID: one.ID, Was: one.Status}))
}

// CloseContact closes a contact; lookedUp says that Virtuous had none just before. changed is false if it is not as it was read, or if an attempt is
// under way.
func (c Conn) CloseContact(ctx context.Context, customer string, one ContactTransactionRow, reason string, lookedUp bool) (changed bool, err error) {
	return isChanged(c.queries.ContactCloseIf(ctx, c.dbtx, &db.ContactCloseIfParams{
		CustomerID: customer, ID: one.ID, Was: one.Status, Attempts: column(one.Attempts), UnansweredSince: one.UnansweredSince, Reason: reason,
		LookedUp: lookedUp,
	}))
}
