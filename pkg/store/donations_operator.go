package store

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// States of donations.
const (
	DonationPending     = "pending"
	DonationSubmitted   = "submitted"
	DonationNeedsReview = "needs_review"
	DonationConfirmed   = "confirmed"
	DonationFailed      = "failed"
	DonationClosed      = "closed"
)

// DonationRow is a donation as operators see it. What names a donor is sealed.
type DonationRow struct {
	ID                                                 int64
	PlatformID, Status, TransactionSource              string
	Attempts                                           int
	NextAttemptAt, AttemptStartedAt, UnansweredSince   *time.Time
	SubmittedAt, LookedUpAt, NextLookupAt, ConfirmedAt *time.Time
	Repeated                                           bool
	GiftID, ContactID                                  int64 // 0: not known
	RecoveryPath, ReviewReason, LastError, CloseReason string
	CreatedAt, StatusAt                                time.Time
	Sealed                                             []byte
	IsAttempting                                       bool // Donation alone fills it in
}

// Donations returns up to atMost of a customer's donations with ids below before, the newest first; status "" means every state.
func (c Conn) Donations(ctx context.Context, customer, status string, before int64, atMost int32) ([]DonationRow, error) {
	if status != "" {
		rows, err := c.queries.DonationsPageInState(ctx, c.dbtx, &db.DonationsPageInStateParams{
			CustomerID: customer, Status: status, Before: before, AtMost: atMost,
		})
		return donationPage(rows, err, func(row db.DonationsPageInStateRow) db.DonationsPageRow { return db.DonationsPageRow(row) })
	}
	rows, err := c.queries.DonationsPage(ctx, c.dbtx, &db.DonationsPageParams{CustomerID: customer, Before: before, AtMost: atMost})
	return donationPage(rows, err, func(row db.DonationsPageRow) db.DonationsPageRow { return row })
}

func donationPage[Row any](rows []*Row, err error, as func(Row) db.DonationsPageRow) ([]DonationRow, error) {
	donations := make([]DonationRow, 0, len(rows))
	for _, found := range rows {
		row := as(*found)
		donations = append(donations, donationRow(db.DonationOfRow{
			ID: row.ID, PlatformDonationID: row.PlatformDonationID, Status: row.Status, TransactionSource: row.TransactionSource, Attempts: row.Attempts,
			NextAttemptAt: row.NextAttemptAt, AttemptStartedAt: row.AttemptStartedAt, UnansweredSince: row.UnansweredSince, SubmittedAt: row.SubmittedAt,
			Repeated: row.Repeated, LookedUpAt: row.LookedUpAt, NextLookupAt: row.NextLookupAt, ConfirmedAt: row.ConfirmedAt,
			VirtuousGiftID: row.VirtuousGiftID, VirtuousContactID: row.VirtuousContactID, RecoveryPath: row.RecoveryPath, ReviewReason: row.ReviewReason,
			LastError: row.LastError, CloseReason: row.CloseReason, CreatedAt: row.CreatedAt, StatusAt: row.StatusAt, DonationSealed: row.DonationSealed,
		}))
	}
	return donations, err
}

// Donation returns a donation by the platform's id, or by its own if platformID is ""; ErrNotFound if there is none.
func (c Conn) Donation(ctx context.Context, customer, platformID string, id int64) (DonationRow, error) {
	row, err := c.queries.DonationOf(ctx, c.dbtx, &db.DonationOfParams{CustomerID: customer, PlatformDonationID: given(platformID), ID: &id})
	if err != nil {
		return DonationRow{}, err
	}
	if platformID != "" && row.PlatformDonationID != platformID {
		return DonationRow{}, ErrNotFound
	}
	return donationRow(*row), nil
}

func donationRow(row db.DonationOfRow) DonationRow {
	return DonationRow{
		ID: row.ID, PlatformID: row.PlatformDonationID, Status: row.Status, TransactionSource: row.TransactionSource, Attempts: int(row.Attempts),
		NextAttemptAt: row.NextAttemptAt, AttemptStartedAt: row.AttemptStartedAt, UnansweredSince: row.UnansweredSince, SubmittedAt: row.SubmittedAt,
		Repeated: row.Repeated, LookedUpAt: row.LookedUpAt, NextLookupAt: row.NextLookupAt, ConfirmedAt: row.ConfirmedAt, GiftID: row.VirtuousGiftID,
		ContactID: row.VirtuousContactID, RecoveryPath: row.RecoveryPath, ReviewReason: row.ReviewReason, LastError: row.LastError,
		CloseReason: row.CloseReason, CreatedAt: row.CreatedAt, StatusAt: row.StatusAt, Sealed: row.DonationSealed, IsAttempting: row.IsAttempting,
	}
}

// RetryDonation makes a failed donation, or one that needs review, pending; changed is false if it is not in the state in which it was read.
func (c Conn) RetryDonation(ctx context.Context, customer string, one DonationRow) (changed bool, err error) {
	rows, err := c.queries.DonationRetryIf(ctx, c.dbtx, &db.DonationRetryIfParams{CustomerID: customer, ID: one.ID, Was: one.Status})
	return rows > 0, err
}

// CloseDonation closes a donation; lookedUp says that no gift was found just before. changed is false if it is not as it was read, or if an
// attempt is under way.
func (c Conn) CloseDonation(ctx context.Context, customer string, one DonationRow, reason string, lookedUp bool) (changed bool, err error) {
	rows, err := c.queries.DonationCloseIf(ctx, c.dbtx, &db.DonationCloseIfParams{
		CustomerID: customer, ID: one.ID, Was: one.Status, Attempts: column(one.Attempts), UnansweredSince: one.UnansweredSince, Reason: reason,
		LookedUp: lookedUp,
	})
	return rows > 0, err
}

// GiftRow is a gift as Virtuous has it.
type GiftRow struct {
	ID                                               int64
	State, SyncState, Amount, CurrencyCode, GiftDate string
	GiftType, TransactionSource, TransactionID       string
	PlatformDonationID                               string
	ContactID                                        int64
	ModifiedAt, DeletedAt                            *time.Time
	CreatedAt, LastSyncAt                            time.Time
	Sealed                                           []byte // empty if only its deletion is known
}

// Gifts returns up to atMost of a customer's gifts with ids below before, the highest first.
func (c Conn) Gifts(ctx context.Context, customer string, before int64, atMost int32) ([]GiftRow, error) {
	return c.giftsFrom(ctx, customer, math.MinInt64, before, atMost)
}

// Gift returns a gift; ErrNotFound if it is not known.
func (c Conn) Gift(ctx context.Context, customer string, id int64) (GiftRow, error) {
	return oneOf(c.giftsFrom(ctx, customer, id, id+1, 1))
}

func (c Conn) giftsFrom(ctx context.Context, customer string, from, before int64, atMost int32) ([]GiftRow, error) {
	rows, err := c.queries.PartnerGiftsPage(ctx, c.dbtx, &db.PartnerGiftsPageParams{CustomerID: customer, FromID: from, Before: before, AtMost: atMost})
	gifts := make([]GiftRow, 0, len(rows))
	for _, row := range rows {
		gifts = append(gifts, GiftRow{
			ID: row.VirtuousGiftID, State: row.State, SyncState: row.SyncState, Amount: row.Amount, CurrencyCode: row.CurrencyCode, GiftDate: row.GiftDate,
			GiftType: row.GiftType, ContactID: row.ContactID, TransactionSource: row.TransactionSource, TransactionID: row.TransactionID,
			PlatformDonationID: row.PlatformDonationID, ModifiedAt: row.ModifiedAt, CreatedAt: row.CreatedAt, DeletedAt: row.DeletedAt,
			LastSyncAt: row.LastSyncAt, Sealed: row.Sealed,
		})
	}
	return gifts, err
}

// ContactRow is a contact as Virtuous has it.
type ContactRow struct {
	ID                            int64
	State, SyncState, ContactType string
	MergedInto                    int64
	ModifiedAt                    *time.Time
	CreatedAt, LastSyncAt         time.Time
	Sealed                        []byte
}

// Contacts returns up to atMost of a customer's contacts with ids below before, the highest first.
func (c Conn) Contacts(ctx context.Context, customer string, before int64, atMost int32) ([]ContactRow, error) {
	return c.contactsFrom(ctx, customer, math.MinInt64, before, atMost)
}

// Contact returns a contact; ErrNotFound if it is not known.
func (c Conn) Contact(ctx context.Context, customer string, id int64) (ContactRow, error) {
	return oneOf(c.contactsFrom(ctx, customer, id, id+1, 1))
}

func (c Conn) contactsFrom(ctx context.Context, customer string, from, before int64, atMost int32) ([]ContactRow, error) {
	rows, err := c.queries.PartnerContactsPage(ctx, c.dbtx, &db.PartnerContactsPageParams{CustomerID: customer, FromID: from, Before: before, AtMost: atMost})
	contacts := make([]ContactRow, 0, len(rows))
	for _, row := range rows {
		contacts = append(contacts, ContactRow{
			ID: row.VirtuousContactID, State: row.State, SyncState: row.SyncState, ContactType: row.ContactType, MergedInto: row.MergedInto,
			ModifiedAt: row.ModifiedAt, CreatedAt: row.CreatedAt, LastSyncAt: row.LastSyncAt, Sealed: row.Sealed,
		})
	}
	return contacts, err
}

func oneOf[Row any](rows []Row, err error) (one Row, _ error) {
	if err == nil && len(rows) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return one, err
	}
	return rows[0], nil
}

// ReconciliationAction is what a reconciliation with Virtuous did with one record.
type ReconciliationAction struct {
	ID                                       int64
	RunAt                                    time.Time
	Category, Entity, PlatformID, Resolution string
	VirtuousID, JobID                        int64 // 0: none
	Details                                  json.RawMessage
	TraceID                                  string
}

// ReconciliationLog returns up to atMost actions after one of the customer's, until a time, the oldest first; category "" means every one.
func (c Conn) ReconciliationLog(
	ctx context.Context, customer, category string, after ReconciliationAction, until time.Time, atMost int32,
) ([]ReconciliationAction, error) {
	rows, err := c.queries.ReconciliationLogPage(ctx, c.dbtx, &db.ReconciliationLogPageParams{
		CustomerID: customer, AfterAt: after.RunAt, AfterID: after.ID, Until: until, Category: given(category), AtMost: atMost,
	})
	actions := make([]ReconciliationAction, 0, len(rows))
	for _, row := range rows {
		actions = append(actions, ReconciliationAction{
			ID: row.ID, RunAt: row.RunAt, Category: row.Category, Entity: row.Entity, PlatformID: row.PlatformRecordID, Resolution: row.Resolution,
			VirtuousID: row.VirtuousRecordID, JobID: row.JobID, Details: row.Details, TraceID: row.TraceID,
		})
	}
	return actions, err
}
