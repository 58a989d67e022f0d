package store

import (
	"context"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// TransactionLetter is the letter of a message that is no valid donation or contact, or that differs from the donation with its id.
type TransactionLetter struct {
	ID            uuid.UUID
	Kind          string
	Customer      string
	PlatformID    string // the donation's id, or the contact's reference; "" if the message has none that can be stored
	PayloadSealed []byte
	Subject       string
	Origin        string // as in MessageLetter
	Job           string
	Code          string
	Reason        string // field errors
	TraceID       string
}

// AddTransactionLetter opens a letter; it takes the place of an open one of the same donation or contact. added is false if the message has a letter.
func (t *Tx) AddTransactionLetter(ctx context.Context, letter TransactionLetter) (added bool, err error) {
	if letter.PlatformID != "" {
		if err := t.SettleTransactionLetters(ctx, letter.Customer, letter.Kind, letter.PlatformID, letter.Origin); err != nil {
			return false, err
		}
	}
	return isChanged(t.queries.TransactionLetterInsertIfNew(ctx, t.dbtx, &db.TransactionLetterInsertIfNewParams{
		ID: letter.ID, CustomerID: letter.Customer, Kind: letter.Kind, RecordID: letter.PlatformID, PayloadSealed: letter.PayloadSealed,
		OriginalSubject: letter.Subject, Origin: &letter.Origin, Job: letter.Job, ErrorCode: letter.Code, Reason: letter.Reason, TraceID: letter.TraceID,
	}))
}

// SettleTransactionLetters settles the open letters of earlier messages with the id of the donation or contact. origin is that of the present message.
func (t *Tx) SettleTransactionLetters(ctx context.Context, customer, kind, platformID, origin string) error {
	return t.queries.TransactionLettersSettle(ctx, t.dbtx, &db.TransactionLettersSettleParams{
		CustomerID: customer, Kind: kind, RecordID: platformID, Origin: origin,
	})
}
