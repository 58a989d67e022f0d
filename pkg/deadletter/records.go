package deadletter

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

// firstRetry is when a retryable letter is tried again for the first time.
const firstRetry = 5 * time.Second

// Refused is a record that gets a letter.
type Refused struct {
	RecordID  string
	Version   store.Version
	Code      string
	Retryable bool
}

// Scope is what the letters of one page share.
type Scope struct {
	Customer string
	Job      string
	TraceID  string
	Now      time.Time
}

// OpenRecords opens letters for refused records in the page's transaction, so that no cursor moves past a
// record that nobody remembers. A record whose letter is open for another version gets a new letter in its
// place; its caller leaves out those whose letter is open for the same one.
func OpenRecords(ctx context.Context, tx *store.Tx, scope Scope, refused []Refused) error {
	if len(refused) == 0 {
		return nil
	}
	ids := make([]string, 0, len(refused))
	letters := make([]store.RecordLetter, 0, len(refused))
	messages := make([]store.Message, 0, len(refused))
	for _, record := range refused {
		class := ClassPermanent
		if record.Retryable {
			class = ClassRetryable
		}
		subject := bus.SubjectLetter(record.Retryable, KindUser, scope.Customer)
		letter := store.RecordLetter{
			ID: uuid.New(), RecordID: record.RecordID, Version: record.Version, Subject: subject,
			ErrorCode: record.Code, ErrorClass: class,
		}
		message, err := announced{
			id: letter.ID, customer: scope.Customer, kind: KindUser, recordID: record.RecordID,
			updatedAt: record.Version.UpdatedAt, errorCode: record.Code, errorClass: class, attempts: 1,
			firstFailedAt: scope.Now, job: scope.Job, traceID: scope.TraceID, originalSubject: subject,
		}.message()
		if err != nil {
			return err
		}
		ids = append(ids, record.RecordID)
		letters = append(letters, letter)
		messages = append(messages, message)
	}
	if _, err := tx.SupersedeLetters(ctx, scope.Customer, KindUser, ids); err != nil {
		return err
	}
	err := tx.AddRecordLetters(ctx, store.LetterScope{
		Customer: scope.Customer, Kind: KindUser, Job: scope.Job, TraceID: scope.TraceID, FirstDelay: firstRetry,
	}, letters)
	if err != nil {
		return err
	}
	return tx.Publish(ctx, messages...)
}
