package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// CapturedDonation is a donation as it is stored for the first time, or in place of one that is over.
type CapturedDonation struct {
	Customer          string
	PlatformID        string
	TransactionSource string
	DonationSealed    []byte // in its canonical form
	BodySealed        []byte // the transaction, as it is sent each time
	ContentHash       []byte
	ProjectsChecked   bool // false: they are checked before the transaction is first sent
	TraceID           string
}

// AddDonation stores a donation that is then pending; added is false if there is one with its id.
func (t *Tx) AddDonation(ctx context.Context, one CapturedDonation) (added bool, err error) {
	_, err = t.queries.DonationInsertIfNew(ctx, t.dbtx, &db.DonationInsertIfNewParams{
		CustomerID: one.Customer, PlatformDonationID: one.PlatformID, TransactionSource: one.TransactionSource, DonationSealed: one.DonationSealed,
		BodySealed: one.BodySealed, ContentHash: one.ContentHash, ProjectsChecked: one.ProjectsChecked, TraceID: one.TraceID,
	})
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// KnownDonation is what a donation with the same id is compared with.
type KnownDonation struct {
	ID          int64
	Status      string
	ContentHash []byte
}

// LockDonation reads and locks a donation by the platform's id; ErrNotFound if there is none.
func (t *Tx) LockDonation(ctx context.Context, customer, platformID string) (KnownDonation, error) {
	row, err := t.queries.DonationLock(ctx, t.dbtx, &db.DonationLockParams{CustomerID: customer, PlatformDonationID: platformID})
	if err != nil {
		return KnownDonation{}, err
	}
	return KnownDonation(*row), nil
}

// HasDonation reports whether there is a donation with this id and content.
func (c Conn) HasDonation(ctx context.Context, customer, platformID string, contentHash []byte) (bool, error) {
	return c.queries.DonationExists(ctx, c.dbtx, &db.DonationExistsParams{CustomerID: customer, PlatformDonationID: platformID, ContentHash: contentHash})
}

// ReplaceDonation gives a donation another content and makes it pending. replaced is false if Virtuous has, or may have, the first content.
func (t *Tx) ReplaceDonation(ctx context.Context, id int64, one CapturedDonation) (replaced bool, err error) {
	rows, err := t.queries.DonationReplaceIfOver(ctx, t.dbtx, &db.DonationReplaceIfOverParams{
		CustomerID: one.Customer, ID: id, TransactionSource: one.TransactionSource, DonationSealed: one.DonationSealed,
		BodySealed: one.BodySealed, ContentHash: one.ContentHash, ProjectsChecked: one.ProjectsChecked, TraceID: one.TraceID,
	})
	return rows > 0, err
}

// DonationLetter is the letter of a message that is no valid donation, or that differs from the donation with its id.
type DonationLetter struct {
	ID            uuid.UUID
	Customer      string
	PlatformID    string // "" if the message has none that can be stored
	PayloadSealed []byte
	Subject       string
	Origin        string // as in MessageLetter
	Job           string
	Code          string
	Reason        string // field errors
	TraceID       string
}

// AddDonationLetter opens a letter; it takes the place of an open one of the same donation. added is false if the message has a letter.
func (t *Tx) AddDonationLetter(ctx context.Context, letter DonationLetter) (added bool, err error) {
	if letter.PlatformID != "" {
		if err := t.SettleDonationLetters(ctx, letter.Customer, letter.PlatformID, letter.Origin); err != nil {
			return false, err
		}
	}
	rows, err := t.queries.DonationLetterInsertIfNew(ctx, t.dbtx, &db.DonationLetterInsertIfNewParams{
		ID: letter.ID, CustomerID: letter.Customer, RecordID: letter.PlatformID, PayloadSealed: letter.PayloadSealed, OriginalSubject: letter.Subject,
		Origin: &letter.Origin, Job: letter.Job, ErrorCode: letter.Code, Reason: letter.Reason, TraceID: letter.TraceID,
	})
	return rows > 0, err
}

// SettleDonationLetters settles the open letters of earlier messages with the donation's id. origin is that of the present message. A
// pipelined transaction defers it.
func (t *Tx) SettleDonationLetters(ctx context.Context, customer, platformID, origin string) error {
	return t.deferred(func(on db.DBTX) error {
		return t.queries.DonationLettersSettle(ctx, on, &db.DonationLettersSettleParams{CustomerID: customer, RecordID: platformID, Origin: origin})
	})
}

// DonationCustomer is a customer with due donations.
type DonationCustomer struct {
	ID        string
	RenewedAt time.Time // when its settings last changed, or it became active
}

// DonationCustomers returns the customers with due donations that are neither paused nor held. Its cost grows with the number of customers
// that have pending donations.
func (c Conn) DonationCustomers(ctx context.Context) ([]DonationCustomer, error) {
	rows, err := c.queries.DonationCustomers(ctx, c.dbtx)
	customers := make([]DonationCustomer, 0, len(rows))
	for _, row := range rows {
		customers = append(customers, DonationCustomer{ID: row.CustomerID, RenewedAt: row.RenewedAt})
	}
	return customers, err
}
