package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// States of gifts and contacts.
const (
	PartnerLive     = "live"
	PartnerDeleted  = "deleted"  // a gift
	PartnerArchived = "archived" // a contact
	PartnerMerged   = "merged"   // a contact
)

// PartnerGift is a gift as Virtuous has it. Zero values stand for what is not known; of a gift of which only the deletion is known,
// there is nothing else.
type PartnerGift struct {
	ID                 int64
	State              string
	Amount             string // a decimal
	CurrencyCode       string
	Date               string // YYYY-MM-DD
	Type               string
	ContactID          int64 // after merges
	TransactionSource  string
	TransactionID      string
	PlatformDonationID string
	ModifiedAt         time.Time
	Hash               []byte    // keyed, of the canonical fields
	ReadAt             time.Time // when this version was read; zero: a webhook had it
	WebhookAt          time.Time // when the last webhook about the gift was received; zero: none is noted
	Sealed             []byte    // the canonical fields
	DeletedAt          time.Time
	SeenAt             time.Time // when the gift was last seen at Virtuous
	SyncState          string    // as it is stored: SetGiftSyncState changes it; "" if the gift is new
}

// States of a gift and its donation.
const (
	GiftInSync   = "in_sync"
	GiftConflict = "conflict" // they differ, and a person decides
)

// PartnerContact is a contact as Virtuous has it.
type PartnerContact struct {
	ID         int64
	State      string
	Type       string
	MergesInto int64 // the next step of its merges; 0: it is not merged
	MergedInto int64 // the end of its merges
	ModifiedAt time.Time
	Hash       []byte
	ReadAt     time.Time
	WebhookAt  time.Time // as in PartnerGift
	Sealed     []byte
	SeenAt     time.Time
}

// LockInbound lets one transaction at a time apply a customer's gifts and contacts, and returns the database's time. ErrNotFound if
// the customer has no giving, or it was removed.
func (t *Tx) LockInbound(ctx context.Context, customer string) (now time.Time, err error) {
	return t.queries.InboundLock(ctx, t.dbtx, customer)
}

// LockInboundAgainstParts does what LockInbound does, also if giving was removed, and lets no part of a delivery be added meanwhile.
func (t *Tx) LockInboundAgainstParts(ctx context.Context, customer string) error {
	_, err := t.queries.InboundLockAgainstParts(ctx, t.dbtx, customer)
	return err
}

// PartnerGifts returns the gifts of these ids that are known.
func (c Conn) PartnerGifts(ctx context.Context, customer string, ids []int64) ([]PartnerGift, error) {
	rows, err := c.queries.PartnerGifts(ctx, c.dbtx, &db.PartnerGiftsParams{CustomerID: customer, Ids: ids})
	gifts := make([]PartnerGift, 0, len(rows))
	for _, row := range rows {
		gifts = append(gifts, PartnerGift{
			ID: row.VirtuousGiftID, State: row.State, Amount: row.Amount, CurrencyCode: row.CurrencyCode, Date: row.GiftDate, Type: row.GiftType,
			ContactID: row.ContactID, TransactionSource: row.TransactionSource, TransactionID: row.TransactionID,
			PlatformDonationID: row.PlatformDonationID, ModifiedAt: timeOf(row.ModifiedAt), Hash: row.ContentHash, ReadAt: timeOf(row.ReadAt),
			WebhookAt: timeOf(row.WebhookAt),
			Sealed:    row.Sealed, DeletedAt: timeOf(row.DeletedAt), SeenAt: row.LastSyncAt, SyncState: row.SyncState,
		})
	}
	return gifts, err
}

// SetGiftSyncState changes the state of a gift and its donation; changed is false if it is not in the state before. The transaction has LockInbound's
// lock, if the customer has giving.
func (t *Tx) SetGiftSyncState(ctx context.Context, customer string, id int64, was, state string) (changed bool, err error) {
	return isChanged(t.queries.GiftSyncStateSet(ctx, t.dbtx, &db.GiftSyncStateSetParams{CustomerID: customer, ID: id, Was: was, State: state}))
}

// SavePartnerGifts writes gifts as they are given; the transaction has LockInbound's lock.
func (t *Tx) SavePartnerGifts(ctx context.Context, customer string, gifts []PartnerGift) error {
	if len(gifts) == 0 {
		return nil
	}
	params := &db.PartnerGiftsUpsertParams{CustomerID: customer}
	for _, gift := range gifts {
		params.Ids = append(params.Ids, gift.ID)
		params.States = append(params.States, gift.State)
		params.Amounts = append(params.Amounts, gift.Amount)
		params.CurrencyCodes = append(params.CurrencyCodes, gift.CurrencyCode)
		params.GiftDates = append(params.GiftDates, gift.Date)
		params.GiftTypes = append(params.GiftTypes, gift.Type)
		params.ContactIds = append(params.ContactIds, gift.ContactID)
		params.TransactionSources = append(params.TransactionSources, gift.TransactionSource)
		params.TransactionIds = append(params.TransactionIds, gift.TransactionID)
		params.PlatformDonationIds = append(params.PlatformDonationIds, gift.PlatformDonationID)
		params.ModifiedAts = append(params.ModifiedAts, gift.ModifiedAt)
		params.ContentHashes = append(params.ContentHashes, gift.Hash)
		params.ReadAts = append(params.ReadAts, gift.ReadAt)
		params.WebhookAts = append(params.WebhookAts, gift.WebhookAt)
		params.Sealed = append(params.Sealed, gift.Sealed)
		params.DeletedAts = append(params.DeletedAts, gift.DeletedAt)
		params.LastSyncAts = append(params.LastSyncAts, gift.SeenAt)
	}
	return t.queries.PartnerGiftsUpsert(ctx, t.dbtx, params)
}

// PartnerContacts returns the contacts of these ids that are known.
func (c Conn) PartnerContacts(ctx context.Context, customer string, ids []int64) ([]PartnerContact, error) {
	rows, err := c.queries.PartnerContacts(ctx, c.dbtx, &db.PartnerContactsParams{CustomerID: customer, Ids: ids})
	contacts := make([]PartnerContact, 0, len(rows))
	for _, row := range rows {
		contacts = append(contacts, PartnerContact{
			ID: row.VirtuousContactID, State: row.State, Type: row.ContactType, MergesInto: row.MergesInto, MergedInto: row.MergedInto,
			ModifiedAt: timeOf(row.ModifiedAt), Hash: row.ContentHash, ReadAt: timeOf(row.ReadAt), WebhookAt: timeOf(row.WebhookAt),
			Sealed: row.Sealed, SeenAt: row.LastSyncAt,
		})
	}
	return contacts, err
}

// SavePartnerContacts writes contacts as they are given; the transaction has LockInbound's lock. The platform's contacts that are one of the changed
// ones wait to be compared from then on.
func (t *Tx) SavePartnerContacts(ctx context.Context, customer string, contacts []PartnerContact, changed []int64) error {
	if len(contacts) == 0 {
		return nil
	}
	params := &db.PartnerContactsUpsertParams{CustomerID: customer, ChangedIds: changed}
	for _, contact := range contacts {
		params.Ids = append(params.Ids, contact.ID)
		params.States = append(params.States, contact.State)
		params.ContactTypes = append(params.ContactTypes, contact.Type)
		params.MergesIntos = append(params.MergesIntos, contact.MergesInto)
		params.MergedIntos = append(params.MergedIntos, contact.MergedInto)
		params.ModifiedAts = append(params.ModifiedAts, contact.ModifiedAt)
		params.ContentHashes = append(params.ContentHashes, contact.Hash)
		params.ReadAts = append(params.ReadAts, contact.ReadAt)
		params.WebhookAts = append(params.WebhookAts, contact.WebhookAt)
		params.Sealed = append(params.Sealed, contact.Sealed)
		params.LastSyncAts = append(params.LastSyncAts, contact.SeenAt)
	}
	return t.queries.PartnerContactsUpsert(ctx, t.dbtx, params)
}

// MergeStep is a contact with the next step and the end of its merges, 0 if there is none.
type MergeStep struct{ ID, Next, End int64 }

// MergesAround returns the known contacts that merges connect with these ones, and these themselves.
func (c Conn) MergesAround(ctx context.Context, customer string, ids []int64) ([]MergeStep, error) {
	rows, err := c.queries.MergedContacts(ctx, c.dbtx, &db.MergedContactsParams{CustomerID: customer, Ids: ids})
	steps := make([]MergeStep, 0, len(rows))
	for _, row := range rows {
		steps = append(steps, MergeStep{ID: row.VirtuousContactID, Next: row.MergesInto, End: row.MergedInto})
	}
	return steps, err
}

// SetMerged stores the ends of merges. End 0 is for a contact that a circle of merges ends at: it counts as archived.
func (t *Tx) SetMerged(ctx context.Context, customer string, merges []MergeStep) error {
	if len(merges) == 0 {
		return nil
	}
	ids, ends := idsAndEnds(merges)
	return t.queries.ContactsSetMerged(ctx, t.dbtx, &db.ContactsSetMergedParams{CustomerID: customer, Ids: ids, Intos: ends})
}

// RepointContacts gives the gifts, donations, platform contacts and references of merged contacts to the ends of their merges.
func (t *Tx) RepointContacts(ctx context.Context, customer string, merges []MergeStep) error {
	if len(merges) == 0 {
		return nil
	}
	ids, ends := idsAndEnds(merges)
	if err := t.queries.GiftsRepoint(ctx, t.dbtx, &db.GiftsRepointParams{CustomerID: customer, Ids: ids, Intos: ends}); err != nil {
		return err
	}
	if err := t.queries.DonationsRepoint(ctx, t.dbtx, &db.DonationsRepointParams{CustomerID: customer, Ids: ids, Intos: ends}); err != nil {
		return err
	}
	err := t.queries.ContactQueueRepoint(ctx, t.dbtx, &db.ContactQueueRepointParams{CustomerID: customer, Ids: ids, Intos: ends})
	if err != nil {
		return err
	}
	return t.queries.ReferencesRepoint(ctx, t.dbtx, &db.ReferencesRepointParams{CustomerID: customer, Ids: ids, Intos: ends})
}

func idsAndEnds(merges []MergeStep) (ids, ends []int64) {
	for _, merge := range merges {
		ids = append(ids, merge.ID)
		ends = append(ends, merge.End)
	}
	return ids, ends
}

// PartnerReference says that a contact had an external reference at a time.
type PartnerReference struct {
	Source, ID string // the source in lower case
	ContactID  int64
	NotedAt    time.Time
}

// NoteReferences stores references. Of several contacts that had one, the one counts that had it last. No two of the list may have
// the same source and id.
func (t *Tx) NoteReferences(ctx context.Context, customer string, references []PartnerReference) error {
	if len(references) == 0 {
		return nil
	}
	params := &db.ReferencesNoteParams{CustomerID: customer}
	for _, reference := range references {
		params.Sources = append(params.Sources, reference.Source)
		params.ReferenceIds = append(params.ReferenceIds, reference.ID)
		params.ContactIds = append(params.ContactIds, reference.ContactID)
		params.NotedAts = append(params.NotedAts, reference.NotedAt)
	}
	return t.queries.ReferencesNote(ctx, t.dbtx, params)
}

// SentDonation is a captured donation, as far as recognising its gift needs it.
type SentDonation struct {
	ID                int64
	PlatformID        string
	Status            string
	TransactionSource string
	BodySealed        []byte // the transaction
	GiftID            int64  // 0: none is known
	ContactID         int64
}

// LockDonations returns the donations of these platform ids, locked until the transaction ends.
func (t *Tx) LockDonations(ctx context.Context, customer string, platformIDs []string) ([]SentDonation, error) {
	rows, err := t.queries.DonationsOfTransactions(ctx, t.dbtx, &db.DonationsOfTransactionsParams{CustomerID: customer, Ids: platformIDs})
	donations := make([]SentDonation, 0, len(rows))
	for _, row := range rows {
		donations = append(donations, SentDonation{
			ID: row.ID, PlatformID: row.PlatformDonationID, Status: row.Status, TransactionSource: row.TransactionSource, BodySealed: row.BodySealed,
			GiftID: row.VirtuousGiftID, ContactID: row.VirtuousContactID,
		})
	}
	return donations, err
}

// Confirmation is when a donation was submitted, nil if that is not known, and confirmed.
type Confirmation struct{ SubmittedAt, ConfirmedAt *time.Time }

// ConfirmByGift confirms a locked donation, whatever its state. recoveryPath is "" if a webhook had the gift. confirmed is false if
// the donation is no longer in the state in which it was locked.
func (t *Tx) ConfirmByGift(
	ctx context.Context, customer string, donation SentDonation, gift PartnerGift, recoveryPath string,
) (at Confirmation, confirmed bool, err error) {
	row, err := t.queries.DonationConfirmByGift(ctx, t.dbtx, &db.DonationConfirmByGiftParams{
		CustomerID: customer, ID: donation.ID, Was: donation.Status, GiftID: gift.ID, ContactID: gift.ContactID, RecoveryPath: recoveryPath,
	})
	if confirmed, err = found(err); !confirmed {
		return Confirmation{}, false, err
	}
	return Confirmation{SubmittedAt: row.SubmittedAt, ConfirmedAt: row.ConfirmedAt}, true, nil
}

// SetDonationContact stores the contact that a confirmed donation's gift has by now.
func (t *Tx) SetDonationContact(ctx context.Context, customer string, id, contactID int64) error {
	return t.queries.DonationSetContact(ctx, t.dbtx, &db.DonationSetContactParams{CustomerID: customer, ID: id, ContactID: contactID})
}
