package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// OffboardGiving switches giving off for good: the settings, the key's history, holds and catalogs. The caller deletes the credentials.
func (t *Tx) OffboardGiving(ctx context.Context, customer string) error {
	if err := t.queries.VirtuousOffboard(ctx, t.dbtx, customer); err != nil {
		return err
	}
	return t.forgetVirtuous(ctx, customer)
}

// forgetVirtuous deletes the key's history, holds and catalogs, and ends a search for deleted gifts.
func (t *Tx) forgetVirtuous(ctx context.Context, customer string) error {
	if err := t.queries.VirtuousForget(ctx, t.dbtx, customer); err != nil {
		return err
	}
	return t.queries.DeletionGiftsCancel(ctx, t.dbtx, customer)
}

// ForgetVirtuousState deletes what is kept of the customer's organization for a time: the key's history, holds and catalogs, and where
// reconciliations stand.
func (t *Tx) ForgetVirtuousState(ctx context.Context, customer string) error {
	if err := t.forgetVirtuous(ctx, customer); err != nil {
		return err
	}
	return t.queries.VirtuousCheckpointsForget(ctx, t.dbtx, customer)
}

// OrphanSubscriptions ends the customer's webhook subscriptions that are not being deleted at Virtuous. It returns their ids; 0 for one whose
// id is not known.
func (t *Tx) OrphanSubscriptions(ctx context.Context, customer string) ([]int64, error) {
	return t.queries.SubscriptionsOrphan(ctx, t.dbtx, customer)
}

// OrphanedSubscriptions returns the ids of subscriptions that stay at Virtuous; 0 for one whose id is not known.
func (c Conn) OrphanedSubscriptions(ctx context.Context, customer string) ([]int64, error) {
	return c.queries.SubscriptionsOrphaned(ctx, c.dbtx, customer)
}

// OffboardDonations closes up to atMost donations that are not confirmed. What they have sealed cannot be opened any more.
func (t *Tx) OffboardDonations(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.DonationsClose(ctx, t.dbtx, &db.DonationsCloseParams{
		CustomerID: customer, Reason: "offboarded", Statuses: []string{"pending", "submitted", "needs_review", "failed"}, AtMost: atMost,
	})
}

// CloseDonationsOfOrganization closes donations that were sent, or may have been, to an organization which is not the customer's any more.
func (t *Tx) CloseDonationsOfOrganization(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.DonationsClose(ctx, t.dbtx, &db.DonationsCloseParams{
		CustomerID: customer, Reason: "other_organization", Statuses: []string{"submitted", "needs_review"}, Unanswered: true, AtMost: atMost,
	})
}

// PurgeDonations deletes up to atMost of the customer's donations.
func (t *Tx) PurgeDonations(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.DonationsPurge(ctx, t.dbtx, &db.DonationsPurgeParams{CustomerID: customer, AtMost: atMost})
}

// ForgetGifts deletes up to atMost of the customer's gifts.
func (t *Tx) ForgetGifts(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.GiftsForget(ctx, t.dbtx, &db.GiftsForgetParams{CustomerID: customer, AtMost: atMost})
}

// ForgetContacts deletes up to atMost of the customer's contacts.
func (t *Tx) ForgetContacts(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.ContactsForget(ctx, t.dbtx, &db.ContactsForgetParams{CustomerID: customer, AtMost: atMost})
}

// ForgetReferences deletes up to atMost of the customer's references of contacts.
func (t *Tx) ForgetReferences(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.ReferencesForget(ctx, t.dbtx, &db.ReferencesForgetParams{CustomerID: customer, AtMost: atMost})
}

// ForgetInbox deletes up to atMost parts of deliveries to the customer.
func (t *Tx) ForgetInbox(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.InboxForget(ctx, t.dbtx, &db.InboxForgetParams{CustomerID: customer, AtMost: atMost})
}

// ForgetLettersUnder settles up to atMost of the customer's open letters whose messages came on a subject, and deletes what they had sealed.
func (t *Tx) ForgetLettersUnder(ctx context.Context, customer, subject string, atMost int32) (int64, error) {
	return t.queries.WebhookLettersForget(ctx, t.dbtx, &db.WebhookLettersForgetParams{CustomerID: customer, Subject: subject, AtMost: atMost})
}

// PurgeGiving deletes what else is known of the customer's giving. The lane's epoch and the reconciliation log stay.
func (t *Tx) PurgeGiving(ctx context.Context, customer string) error {
	return t.queries.GivingPurge(ctx, t.dbtx, customer)
}

// PurgeNow ends the retention of an offboarded customer's mirror; begun is false if it has ended, or cannot end yet.
func (c Conn) PurgeNow(ctx context.Context, customer string) (begun bool, err error) {
	rows, err := c.queries.OffboardingPurgeNow(ctx, c.dbtx, customer)
	return rows > 0, err
}
