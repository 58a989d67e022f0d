package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// CapturedContact is a version of a contact as the platform published it.
type CapturedContact struct {
	Customer          string
	Reference         Reference
	TransactionSource string
	PartnerSealed     []byte // in its canonical form
	ModifiedAt        *time.Time
	PublishedAt       time.Time
	BodySealed        []byte // the transaction, as it is sent each time
	ContentHash       []byte
	TraceID           string
}

// Reference is the name under which Virtuous knows a record of the platform.
type Reference struct {
	Source string // in lower case
	ID     string
}

// CaptureContact adds a contact and settles the letters of earlier messages with its reference. origin is that of the present message. It returns the
// contact's status: pending, or confirmed if Virtuous has a contact of the reference already; "", and nothing is settled, if its reference is known to
// the queue.
func (t *Tx) CaptureContact(ctx context.Context, one CapturedContact, origin string) (status string, err error) {
	return t.queries.ContactCaptureIfNew(ctx, t.dbtx, &db.ContactCaptureIfNewParams{
		CustomerID: one.Customer, ReferenceSource: one.Reference.Source, ReferenceID: one.Reference.ID, TransactionSource: one.TransactionSource,
		PartnerSealed: one.PartnerSealed, PartnerModifiedAt: one.ModifiedAt, PartnerPublishedAt: one.PublishedAt, BodySealed: one.BodySealed,
		ContentHash: one.ContentHash, TraceID: one.TraceID, Origin: origin,
	})
}

// KnownContact is what a version of a contact with the same reference is compared with.
type KnownContact struct {
	ID          int64
	Status      string
	ContentHash []byte
	ModifiedAt  *time.Time
	PublishedAt time.Time
}

// LockContactVersion reads and locks a contact by its reference; ErrNotFound if there is none.
func (t *Tx) LockContactVersion(ctx context.Context, customer string, reference Reference) (KnownContact, error) {
	row, err := t.queries.ContactVersionLock(ctx, t.dbtx, &db.ContactVersionLockParams{
		CustomerID: customer, ReferenceSource: reference.Source, ReferenceID: reference.ID,
	})
	if err != nil {
		return KnownContact{}, err
	}
	return KnownContact{
		ID: row.ID, Status: row.Status, ContentHash: row.ContentHash, ModifiedAt: row.PartnerModifiedAt, PublishedAt: row.PartnerPublishedAt,
	}, nil
}

// ReplaceContactVersion stores a newer version of a locked contact, and returns the contact's status by now.
func (t *Tx) ReplaceContactVersion(ctx context.Context, id int64, one CapturedContact) (status string, err error) {
	return t.queries.ContactVersionReplace(ctx, t.dbtx, &db.ContactVersionReplaceParams{
		CustomerID: one.Customer, ID: id, ReferenceSource: one.Reference.Source, ReferenceID: one.Reference.ID, TransactionSource: one.TransactionSource,
		PartnerSealed: one.PartnerSealed, PartnerModifiedAt: one.ModifiedAt, PartnerPublishedAt: one.PublishedAt, BodySealed: one.BodySealed,
		ContentHash: one.ContentHash, TraceID: one.TraceID,
	})
}

// SentContact is a contact of the platform, as far as recognising it at Virtuous needs it.
type SentContact struct {
	ID          int64
	ReferenceID string
	Status      string
	Had         int64 // the contact at Virtuous that it was; 0: none
	Has         int64 // the one that its reference means by now
}

// LockContacts returns the contacts of these references that Virtuous has, locked until the transaction ends.
func (t *Tx) LockContacts(ctx context.Context, customer string, references []PartnerReference) ([]SentContact, error) {
	params := &db.ContactsOfReferencesParams{CustomerID: customer}
	for _, reference := range references {
		params.Sources = append(params.Sources, reference.Source)
		params.Ids = append(params.Ids, reference.ID)
	}
	rows, err := t.queries.ContactsOfReferences(ctx, t.dbtx, params)
	contacts := make([]SentContact, 0, len(rows))
	for _, row := range rows {
		contacts = append(contacts, SentContact(*row))
	}
	return contacts, err
}

// ConfirmContact confirms a locked contact, whatever its state, as ConfirmByGift does a donation.
func (t *Tx) ConfirmContact(ctx context.Context, customer string, one SentContact, recoveryPath string) (at Confirmation, confirmed bool, err error) {
	row, err := t.queries.ContactConfirmByReference(ctx, t.dbtx, &db.ContactConfirmByReferenceParams{
		CustomerID: customer, ID: one.ID, Was: one.Status, ContactID: one.Has, RecoveryPath: recoveryPath,
	})
	if confirmed, err = found(err); !confirmed {
		return Confirmation{}, false, err
	}
	return Confirmation{SubmittedAt: row.SubmittedAt, ConfirmedAt: row.ConfirmedAt}, true, nil
}

// SetContactOfReference stores which of Virtuous' contacts the reference of a confirmed contact means by now.
func (t *Tx) SetContactOfReference(ctx context.Context, customer string, one SentContact) error {
	return t.queries.ContactSetVirtuousID(ctx, t.dbtx, &db.ContactSetVirtuousIDParams{CustomerID: customer, ID: one.ID, ContactID: one.Has})
}

// OffboardContacts closes up to atMost contacts of the platform. What they have sealed cannot be opened any more.
func (t *Tx) OffboardContacts(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.ContactsClose(ctx, t.dbtx, &db.ContactsCloseParams{
		CustomerID: customer, Reason: "offboarded", Statuses: []string{"pending", "submitted", "needs_review", "confirmed", "failed"}, AtMost: atMost,
	})
}

// CloseContactsOfOrganization closes contacts that an organization has, or may have, which is not the customer's any more. A newer version of one is
// sent to the present organization.
func (t *Tx) CloseContactsOfOrganization(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.ContactsClose(ctx, t.dbtx, &db.ContactsCloseParams{
		CustomerID: customer, Reason: "other_organization", Statuses: []string{"submitted", "needs_review", "confirmed"}, Unanswered: true, AtMost: atMost,
	})
}

// PurgeContactQueue deletes up to atMost contacts of the platform.
func (t *Tx) PurgeContactQueue(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.ContactQueuePurge(ctx, t.dbtx, &db.ContactQueuePurgeParams{CustomerID: customer, AtMost: atMost})
}

// ContactFigures are what reports and the status count of the platform's contacts.
type ContactFigures struct {
	Pending, Submitted, SubmittedLate int64
	PendingSince, LateSince           *time.Time // of the oldest; nil: there is none
	ImportNotRun, MatchNeeded         int64      // in review, by reason
	Failed                            int64
}

// ContactFigures counts. A contact that has been submitted for longer than late is late.
func (c Conn) ContactFigures(ctx context.Context, customer string, late time.Duration) (ContactFigures, error) {
	row, err := c.queries.ContactFigures(ctx, c.dbtx, &db.ContactFiguresParams{CustomerID: customer, Late: late})
	if err != nil {
		return ContactFigures{}, err
	}
	return ContactFigures{
		Pending: row.Pending, PendingSince: unlessEpoch(row.PendingSince), Submitted: row.Submitted, SubmittedLate: row.SubmittedLate,
		LateSince: unlessEpoch(row.SubmittedLateSince), ImportNotRun: row.ImportNotRun, MatchNeeded: row.MatchNeeded, Failed: row.Failed,
	}, nil
}

// UnfinishedContacts returns the references of the customer's first pending and submitted contacts.
func (c Conn) UnfinishedContacts(ctx context.Context, customer string, atMost int32) ([]string, error) {
	return c.queries.ContactsUnfinished(ctx, c.dbtx, &db.ContactsUnfinishedParams{CustomerID: customer, AtMost: atMost})
}
