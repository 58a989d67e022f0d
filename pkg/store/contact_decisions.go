package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// DetailOtherContact is the name of the detail of a review item that has the id of the other contact at Virtuous, which has the email address.
const DetailOtherContact = "otherContact"

// LockedContact is a contact of the platform that a transaction has locked.
type LockedContact struct {
	ID                int64 // in its queue
	VirtuousContactID int64 // 0: it has none
}

// LockContact locks a contact of the platform by its id in the queue, in whatever state it is. ErrNotFound if there is none. Review items and
// differences of the contact are locked after it.
func (t *Tx) LockContact(ctx context.Context, customer string, id int64) (LockedContact, error) {
	virtuousID, err := t.queries.ContactLockByID(ctx, t.dbtx, &db.ContactLockByIDParams{CustomerID: customer, ID: id})
	return LockedContact{ID: id, VirtuousContactID: virtuousID}, err
}

// LockContactsOfReference locks the platform's contacts with a reference: one for each transaction source that the customer had.
func (t *Tx) LockContactsOfReference(ctx context.Context, customer, reference string) ([]LockedContact, error) {
	rows, err := t.queries.ContactsLockOfReference(ctx, t.dbtx, &db.ContactsLockOfReferenceParams{CustomerID: customer, ReferenceID: reference})
	contacts := make([]LockedContact, 0, len(rows))
	for _, row := range rows {
		contacts = append(contacts, LockedContact(*row))
	}
	return contacts, err
}

// LockContactsOfVirtuous locks the platform's contacts that are one contact at Virtuous, also by the id that it had before a merge.
func (t *Tx) LockContactsOfVirtuous(ctx context.Context, customer string, virtuousID int64) ([]LockedContact, error) {
	rows, err := t.queries.ContactsLockOfVirtuous(ctx, t.dbtx, &db.ContactsLockOfVirtuousParams{CustomerID: customer, VirtuousContactID: virtuousID})
	contacts := make([]LockedContact, 0, len(rows))
	for _, row := range rows {
		contacts = append(contacts, LockedContact(*row))
	}
	return contacts, err
}

// OpenDifference is a field of a contact of the platform that is not settled, without its values.
type OpenDifference struct {
	ContactID      int64  // the platform's contact in its queue; only of OpenDifferencesOf
	VirtuousID     int64  // the contact at Virtuous, and
	ReferenceID    string // the platform's id; only of OpenDifferencesAt
	Field, State   string
	Reason         string // of a conflict
	OtherContactID int64  // at Virtuous; 0: none
	StateAt        time.Time
}

// OpenDifferencesOf returns what is not settled of contacts of the platform, by their ids in the queue.
func (c Conn) OpenDifferencesOf(ctx context.Context, customer string, contacts []int64) ([]OpenDifference, error) {
	rows, err := c.queries.ContactDifferencesOpenOf(ctx, c.dbtx, &db.ContactDifferencesOpenOfParams{CustomerID: customer, ContactIds: contacts})
	open := make([]OpenDifference, 0, len(rows))
	for _, row := range rows {
		open = append(open, OpenDifference{
			ContactID: row.ContactID, Field: row.Field, State: row.State, Reason: row.Reason, OtherContactID: row.OtherContactID, StateAt: row.StateAt,
		})
	}
	return open, err
}

// OpenDifferencesAt returns what is not settled of the platform's contacts that are these of Virtuous' contacts.
func (c Conn) OpenDifferencesAt(ctx context.Context, customer string, virtuousIDs []int64) ([]OpenDifference, error) {
	rows, err := c.queries.ContactDifferencesOpenAt(ctx, c.dbtx, &db.ContactDifferencesOpenAtParams{CustomerID: customer, VirtuousContactIds: virtuousIDs})
	open := make([]OpenDifference, 0, len(rows))
	for _, row := range rows {
		open = append(open, OpenDifference{
			VirtuousID: row.VirtuousContactID, ReferenceID: row.ReferenceID, Field: row.Field, State: row.State, Reason: row.Reason,
			OtherContactID: row.OtherContactID, StateAt: row.StateAt,
		})
	}
	return open, err
}
