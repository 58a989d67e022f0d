package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Reasons for which giving is disabled.
const (
	GivingAuthFailed = "auth_failed" // Virtuous rejected the key
	GivingRemoved    = "removed"
)

// Resources of the checkpoints of missed_webhook: the start of the last completed pass.
const (
	ResourceVirtuousGifts    = "virtuous_gifts"
	ResourceVirtuousContacts = "virtuous_contacts"
)

// SaveVirtuous writes the settings of a request whose key Virtuous has just accepted, and enables giving. The time of the first onboarding
// stays, unless giving starts anew.
func (t *Tx) SaveVirtuous(ctx context.Context, config VirtuousConfig) error {
	isSame, err := t.hasRules(ctx, config)
	if err != nil {
		return err
	}
	err = t.queries.VirtuousConfigUpsert(ctx, t.dbtx, &db.VirtuousConfigUpsertParams{
		CustomerID: config.Customer, TransactionSource: config.TransactionSource, DesignationsField: config.DesignationsField,
		Defaults: config.Defaults, NeedsReviewAfterHours: hours(config.NeedsReviewAfterHours), StuckAfterHours: hours(config.StuckAfterHours),
		ImportsUrl: config.ImportsURL, GiftsSince: config.GiftsSince, CreateWebhook: config.CreateWebhook, Resolution: config.Resolution,
		OrganizationID: config.OrganizationID, OrganizationName: config.OrganizationName, TimeZone: config.TimeZone, Culture: config.Culture,
	})
	if err != nil {
		return err
	}
	if err := t.queries.GivingReconcileWake(ctx, t.dbtx, config.Customer); err != nil || isSame { // in this order, as a schedule locks them
		return err
	}
	return t.decideAnew(ctx, config.Customer)
}

// hasRules reports whether the customer has these rules of resolution, or none. What is open by other rules is decided anew.
func (t *Tx) hasRules(ctx context.Context, config VirtuousConfig) (bool, error) {
	isSame, err := t.queries.VirtuousResolutionIs(ctx, t.dbtx, &db.VirtuousResolutionIsParams{CustomerID: config.Customer, Resolution: config.Resolution})
	if isNotFound(err) {
		return true, nil
	}
	return isSame, err
}

// ChangeVirtuous writes an operator's change of the settings; it switches nothing on.
func (t *Tx) ChangeVirtuous(ctx context.Context, config VirtuousConfig) error {
	isSame, err := t.hasRules(ctx, config)
	if err != nil {
		return err
	}
	err = t.queries.VirtuousConfigChange(ctx, t.dbtx, &db.VirtuousConfigChangeParams{
		CustomerID: config.Customer, TransactionSource: config.TransactionSource, DesignationsField: config.DesignationsField,
		Defaults: config.Defaults, NeedsReviewAfterHours: hours(config.NeedsReviewAfterHours), StuckAfterHours: hours(config.StuckAfterHours),
		ImportsUrl: config.ImportsURL, GiftsSince: config.GiftsSince, CreateWebhook: config.CreateWebhook, Resolution: config.Resolution,
	})
	if err != nil || isSame {
		return err
	}
	return t.decideAnew(ctx, config.Customer)
}

func hours(n int) int32 { return int32(min(n, 1<<20)) } //nolint:gosec // bounded

// SaveCustomerForGiving adds the row of a customer with Virtuous alone, or has an offboarded customer return. A known customer keeps its
// settings; adminEmail nil keeps the admin's address.
func (t *Tx) SaveCustomerForGiving(ctx context.Context, customer string, adminEmail *string) (onboardedAt time.Time, err error) {
	return t.queries.SyncConfigInsertForGiving(ctx, t.dbtx, &db.SyncConfigInsertForGivingParams{CustomerID: customer, AdminEmail: adminEmail})
}

// NoteWebhook notes that a delivery was accepted. It writes once a minute at most.
func (c Conn) NoteWebhook(ctx context.Context, customer string) error {
	return c.queries.VirtuousNoteWebhook(ctx, c.dbtx, customer)
}

// NoteGivingReconciled notes that all scheduled categories were completed.
func (t *Tx) NoteGivingReconciled(ctx context.Context, customer string) error {
	return t.queries.VirtuousNoteReconciled(ctx, t.dbtx, customer)
}

// DisableGiving ends the sending for a customer, for a reason; changed is false if it was ended before.
func (t *Tx) DisableGiving(ctx context.Context, customer, reason string) (changed bool, err error) {
	rows, err := t.queries.VirtuousConfigDisable(ctx, t.dbtx, &db.VirtuousConfigDisableParams{CustomerID: customer, Reason: reason})
	return rows > 0, err
}

// HoldGiving leaves a customer's giving alone for delay.
func (t *Tx) HoldGiving(ctx context.Context, customer, reason, detail string, delay time.Duration) error {
	return t.queries.GivingHold(ctx, t.dbtx, &db.GivingHoldParams{CustomerID: customer, Reason: reason, Detail: detail, Delay: delay})
}

// ReleaseGiving ends such a hold.
func (t *Tx) ReleaseGiving(ctx context.Context, customer string) error {
	return t.queries.GivingRelease(ctx, t.dbtx, customer)
}

// ReleaseGivingForReads ends a hold after Virtuous answered a read, unless the key may not submit.
func (t *Tx) ReleaseGivingForReads(ctx context.Context, customer string) error {
	return t.queries.GivingReleaseForReads(ctx, t.dbtx, customer)
}

// GivingHold is why and until when a customer's giving is left alone. It ends with Until.
type GivingHold struct {
	Reason string
	Detail string
	Holds  int // in a row
	Since  time.Time
	Until  time.Time
}

// GivingHoldOf returns the hold; ErrNotFound if there is none.
func (c Conn) GivingHoldOf(ctx context.Context, customer string) (GivingHold, error) {
	row, err := c.queries.GivingHoldOf(ctx, c.dbtx, customer)
	if err != nil {
		return GivingHold{}, err
	}
	return GivingHold{Reason: row.Reason, Detail: row.Detail, Holds: int(row.Holds), Since: row.Since, Until: row.Until}, nil
}

// DonationCounts counts a customer's donations by their state, and what is in conflict. The times are nil if there is none.
type DonationCounts struct {
	Pending, Submitted, NeedsReview, Failed, Conflict int64
	PendingSince, SubmittedSince, FailedSince         *time.Time
}

// CountDonations returns the counts.
func (c Conn) CountDonations(ctx context.Context, customer string) (DonationCounts, error) {
	row, err := c.queries.DonationCounts(ctx, c.dbtx, customer)
	if err != nil {
		return DonationCounts{}, err
	}
	return DonationCounts{
		Pending: row.Pending, Submitted: row.Submitted, NeedsReview: row.NeedsReview, Failed: row.Failed, Conflict: row.Conflict,
		PendingSince: unlessEpoch(row.PendingSince), SubmittedSince: unlessEpoch(row.SubmittedSince), FailedSince: unlessEpoch(row.FailedSince),
	}, nil
}

func unlessEpoch(at time.Time) *time.Time {
	if at.Unix() == 0 {
		return nil
	}
	return &at
}

// UnfinishedDonation is a donation that was captured and is not known to be in Virtuous.
type UnfinishedDonation struct {
	PlatformID string
	Status     string // "pending" or "submitted"
}

// UnfinishedDonations returns the customer's first pending and submitted donations.
func (c Conn) UnfinishedDonations(ctx context.Context, customer string, atMost int32) ([]UnfinishedDonation, error) {
	rows, err := c.queries.DonationsUnfinished(ctx, c.dbtx, &db.DonationsUnfinishedParams{CustomerID: customer, AtMost: atMost})
	donations := make([]UnfinishedDonation, 0, len(rows))
	for _, row := range rows {
		donations = append(donations, UnfinishedDonation{PlatformID: row.PlatformDonationID, Status: row.Status})
	}
	return donations, err
}
