package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// States of a field in which the platform's contact and Virtuous' contact differ.
const (
	DifferenceVirtuousPending = "virtuous_pending" // the platform's value is to be written to Virtuous
	DifferencePartnerPending  = "partner_pending"  // the platform is to take Virtuous' value
	DifferenceConflict        = "conflict"         // a person decides
	DifferenceSettled         = "settled"
)

// Decisions about a difference that is in conflict. DifferenceAnew is no operator's: the customer's rules have changed.
const (
	DifferenceTakePartner  = "take-partner"
	DifferenceTakeVirtuous = "take-virtuous"
	DifferenceDismiss      = "dismiss"
	DifferenceAnew         = "anew"
)

// KindContact and KindGift are the kinds of review items about what the two sides of giving have.
const (
	KindContact = "contact"
	KindGift    = "gift"
)

// ContactPair is a contact as the platform has it, and which of Virtuous' contacts it is.
type ContactPair struct {
	ID                int64 // of the platform's contact in its queue
	ReferenceID       string
	VirtuousContactID int64
	PartnerSealed     []byte
	PartnerModifiedAt *time.Time // nil: the platform does not say
	ContentHash       []byte
	IsSent            bool                    // Virtuous got this version as a transaction
	Compared          map[string]ComparedPair // the last comparison, by field
	WantedAt          *time.Time              // since when a comparison is wanted; nil: it is not
}

// ComparedPair is the two values of a field that were compared, as keyed hashes.
type ComparedPair struct {
	Partner  string `json:"partner"`
	Virtuous string `json:"virtuous"`
}

// ContactDifference is a field in which two contacts differ, or differed.
type ContactDifference struct {
	ID             int64
	ContactID      int64 // of the platform's contact in its queue
	Field          string
	State          string
	Reason         string // of a conflict
	ValuesSealed   []byte // nil once it is settled
	OtherContactID int64  // the other one of Virtuous' contacts that has the email address; 0: that is not why
	Turns          json.RawMessage
	Decision       string     // that the next comparison carries out
	AppliedAt      *time.Time // when the platform said that it has Virtuous' value
	CreatedAt      time.Time
	StateAt        time.Time
}

// CustomersWithContactsToCompare returns up to atMost customers with contacts that wait to be compared, unless this category is due for them already.
func (t *Tx) CustomersWithContactsToCompare(ctx context.Context, category string, atMost int32) ([]string, error) {
	return t.queries.ContactsWaitingForComparison(ctx, t.dbtx, &db.ContactsWaitingForComparisonParams{Category: category, AtMost: atMost})
}

// ContactsToCompare returns the places of the contacts that wait to be compared behind that one, the longest waiting first.
func (c Conn) ContactsToCompare(ctx context.Context, customer string, after Place, atMost int32) ([]Place, error) {
	rows, err := c.queries.ContactsToCompare(ctx, c.dbtx, &db.ContactsToCompareParams{
		CustomerID: customer, AfterTime: after.At, AfterID: after.ID, AtMost: atMost,
	})
	places := make([]Place, 0, len(rows))
	for _, row := range rows {
		places = append(places, Place{At: *row.CompareWantedAt, ID: row.ID})
	}
	return places, err
}

// ContactsThatMayDrift looks at up to atMost confirmed contacts behind that one, in the order of their ids. It returns those that count as equal and of
// which a side changed within age, and the last one that it looked at; last is 0 if there are no others.
func (c Conn) ContactsThatMayDrift(ctx context.Context, customer string, after int64, age time.Duration, atMost int32) (due []int64, last int64, err error) {
	rows, err := c.queries.ContactPairsAfter(ctx, c.dbtx, &db.ContactPairsAfterParams{CustomerID: customer, AfterID: after, Age: age, AtMost: atMost})
	for _, row := range rows {
		last = row.ID
		if row.IsDue {
			due = append(due, row.ID)
		}
	}
	return due, last, err
}

// ContactPair returns a pair; ErrNotFound if the contact is not confirmed any more.
func (c Conn) ContactPair(ctx context.Context, customer string, id int64) (ContactPair, error) {
	row, err := c.queries.ContactPair(ctx, c.dbtx, &db.ContactPairParams{CustomerID: customer, ID: id})
	if err != nil {
		return ContactPair{}, err
	}
	pair := ContactPair{
		ID: row.ID, ReferenceID: row.ReferenceID, VirtuousContactID: row.VirtuousContactID, PartnerSealed: row.PartnerSealed,
		PartnerModifiedAt: row.PartnerModifiedAt, ContentHash: row.ContentHash, IsSent: row.IsSent, WantedAt: row.CompareWantedAt,
	}
	if err := json.Unmarshal(row.Compared, &pair.Compared); err != nil {
		return ContactPair{}, fmt.Errorf("decode what was compared: %w", err)
	}
	return pair, nil
}

// LockContactPair locks a pair as it was read; ErrNotFound if one of its two sides is another one by now.
func (t *Tx) LockContactPair(ctx context.Context, customer string, pair ContactPair) error {
	_, err := t.queries.ContactPairLock(ctx, t.dbtx, &db.ContactPairLockParams{
		CustomerID: customer, ID: pair.ID, ContentHash: pair.ContentHash, VirtuousContactID: pair.VirtuousContactID,
	})
	return err
}

// NoteCompared stores what was compared of a locked pair, and ends the wish for the comparison with which it was read, unless the comparison goes on. It
// returns since when one is wanted; nil: it is not.
func (t *Tx) NoteCompared(ctx context.Context, customer string, pair ContactPair, goesOn bool) (wantedAt *time.Time, err error) {
	compared, err := json.Marshal(pair.Compared)
	if err != nil {
		return nil, fmt.Errorf("encode what was compared: %w", err)
	}
	return t.queries.ContactNoteCompared(ctx, t.dbtx, &db.ContactNoteComparedParams{
		Compared: compared, GoesOn: goesOn, WantedAt: pair.WantedAt, CustomerID: customer, ID: pair.ID,
	})
}

// PostponeComparison puts off the comparison with whose wish the pair was read.
func (t *Tx) PostponeComparison(ctx context.Context, customer string, pair ContactPair, delay time.Duration) error {
	return t.queries.ContactPostponeComparison(ctx, t.dbtx, &db.ContactPostponeComparisonParams{
		Delay: delay, CustomerID: customer, ID: pair.ID, WantedAt: pair.WantedAt,
	})
}

// ContactDifferences returns the differences of a contact of the platform, also settled ones.
func (c Conn) ContactDifferences(ctx context.Context, customer string, contact int64) ([]ContactDifference, error) {
	rows, err := c.queries.ContactDifferencesOf(ctx, c.dbtx, &db.ContactDifferencesOfParams{CustomerID: customer, ContactID: contact})
	differences := make([]ContactDifference, 0, len(rows))
	for _, row := range rows {
		differences = append(differences, differenceFrom(row))
	}
	return differences, err
}

// ContactDifference returns a difference by its id; ErrNotFound if there is none.
func (c Conn) ContactDifference(ctx context.Context, customer string, id int64) (ContactDifference, error) {
	row, err := c.queries.ContactDifferenceGet(ctx, c.dbtx, &db.ContactDifferenceGetParams{CustomerID: customer, ID: id})
	if err != nil {
		return ContactDifference{}, err
	}
	return differenceFrom(row), nil
}

func differenceFrom(row *db.ContactDifference) ContactDifference {
	one := ContactDifference{
		ID: row.ID, ContactID: row.ContactID, Field: row.Field, State: row.State, Reason: valueOf(row.Reason),
		ValuesSealed: row.ValuesSealed, Turns: row.Turns,
		Decision: valueOf(row.Decision), AppliedAt: row.AppliedAt, CreatedAt: row.CreatedAt, StateAt: row.StateAt,
	}
	if row.OtherContactID != nil {
		one.OtherContactID = *row.OtherContactID
	}
	return one
}

// SaveContactDifference stores a field's state, which ends an operator's decision about it, and returns the difference's id.
func (t *Tx) SaveContactDifference(ctx context.Context, customer string, one ContactDifference) (id int64, err error) {
	return t.queries.ContactDifferenceSave(ctx, t.dbtx, &db.ContactDifferenceSaveParams{
		CustomerID: customer, ContactID: one.ContactID, Field: one.Field, State: one.State, Reason: one.Reason,
		ValuesSealed: one.ValuesSealed, OtherContactID: one.OtherContactID, Turns: one.Turns,
	})
}

// SettleApplied settles the fields of a contact that waited for the platform: it has Virtuous' values by now. Without fields, all of them are meant.
func (t *Tx) SettleApplied(ctx context.Context, customer string, contact int64, fields []string) (settled []string, err error) {
	return t.queries.ContactDifferencesApplied(ctx, t.dbtx, &db.ContactDifferencesAppliedParams{CustomerID: customer, ContactID: contact, Fields: fields})
}

// DecideContactDifference stores an operator's decision about a conflict, and has the contact compared, which carries it out. decided is false if the
// difference is no conflict any more.
func (t *Tx) DecideContactDifference(ctx context.Context, customer string, one ContactDifference, decision string) (decided bool, err error) {
	rows, err := t.queries.ContactDifferenceDecide(ctx, t.dbtx, &db.ContactDifferenceDecideParams{Decision: decision, CustomerID: customer, ID: one.ID})
	if err != nil || rows == 0 {
		return false, err
	}
	_, err = t.queries.ContactWantComparisonOf(ctx, t.dbtx, &db.ContactWantComparisonOfParams{CustomerID: customer, ID: one.ContactID})
	return err == nil, err
}

// DismissContactDifference settles a conflict: both values stay. dismissed is false if the difference is no conflict any more.
func (t *Tx) DismissContactDifference(ctx context.Context, customer string, one ContactDifference) (dismissed bool, err error) {
	rows, err := t.queries.ContactDifferenceDismiss(ctx, t.dbtx, &db.ContactDifferenceDismissParams{CustomerID: customer, ID: one.ID})
	return rows > 0, err
}

// decideAnew has all open differences of a customer decided by its present rules.
func (t *Tx) decideAnew(ctx context.Context, customer string) error {
	if err := t.queries.ContactsWithOpenDifferencesWant(ctx, t.dbtx, customer); err != nil {
		return err
	}
	return t.queries.ContactDifferencesDecideAnew(ctx, t.dbtx, customer)
}

// SetContactSyncState computes the state of one of Virtuous' contacts from the differences that it has.
func (t *Tx) SetContactSyncState(ctx context.Context, customer string, virtuousID int64) error {
	return t.queries.ContactSyncStateSet(ctx, t.dbtx, &db.ContactSyncStateSetParams{CustomerID: customer, VirtuousContactID: virtuousID})
}

// ForgetContactDifferences deletes up to atMost of a customer's differences, and returns how many it deleted.
func (t *Tx) ForgetContactDifferences(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.ContactDifferencesForget(ctx, t.dbtx, &db.ContactDifferencesForgetParams{CustomerID: customer, AtMost: atMost})
}
