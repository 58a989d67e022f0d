package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// OpenLetter is a record's open letter and the version it was written for.
type OpenLetter struct {
	ID         uuid.UUID
	Version    Version
	ErrorCode  string
	ErrorClass string
	FailedAt   time.Time // when it failed last
	Attempts   int
}

// RecordLetter is a record that a destination refused, or that could not be read.
type RecordLetter struct {
	ID         uuid.UUID
	RecordID   string
	Version    Version
	Subject    string // its own subject: where republishing it means "retry it now"
	ErrorCode  string
	ErrorClass string // "retryable" or "permanent"
	Reason     string // what is wrong, in words of our own; "" if the code says all
	Answer     []byte // what the destination said, sealed; nil if it said nothing
}

// LetterScope is what the letters of one page share.
type LetterScope struct {
	Customer   string
	Kind       string
	Job        string
	TraceID    string
	FirstDelay time.Duration // until a retryable letter is tried again
}

// MessageLetter is a message that could not be handled.
type MessageLetter struct {
	ID            uuid.UUID
	Customer      string
	PayloadSealed []byte
	HeadersSealed []byte // null for a message without headers
	Subject       string
	Origin        string // stream, its creation time and the sequence: the letter's identity
	Job           string
	ErrorCode     string
	Reason        string // what was wrong, in words of our own; "" where there are none
	Attempts      int
	// Redriven is the letter whose message was published again to be this one, the zero value for none. It is believed
	// where it is a message letter of the same customer that was settled by that: this letter then has its attempts, its
	// first failure and its history.
	Redriven uuid.UUID
}

// OpenLetters reads the open letters of these records, by record id.
func (c Conn) OpenLetters(ctx context.Context, customer, kind string, recordIDs []string) (map[string]OpenLetter, error) {
	rows, err := c.queries.LettersOpenFor(ctx, c.dbtx, &db.LettersOpenForParams{CustomerID: customer, Kind: kind, RecordIds: recordIDs})
	if err != nil {
		return nil, err
	}
	return lettersFrom(rows), nil
}

func lettersFrom(rows []*db.LettersOpenForRow) map[string]OpenLetter {
	letters := make(map[string]OpenLetter, len(rows))
	for _, row := range rows {
		letter := OpenLetter{
			ID: row.ID, Version: Version{Hash: row.VersionHash}, ErrorCode: row.ErrorCode, ErrorClass: row.ErrorClass,
			FailedAt: row.LastFailedAt, Attempts: int(row.Attempts),
		}
		if row.SourceUpdatedAt != nil {
			letter.Version.UpdatedAt = *row.SourceUpdatedAt
		}
		if row.RecordID != nil {
			letters[*row.RecordID] = letter
		}
	}
	return letters
}

// SupersedeLetters settles the open letters of these records: a newer version was written, or refused and
// gets a letter of its own. It returns the ids of what it settled.
func (t *Tx) SupersedeLetters(ctx context.Context, customer, kind string, recordIDs []string) ([]uuid.UUID, error) {
	if len(recordIDs) == 0 {
		return nil, nil
	}
	return t.queries.LettersSettleSuperseded(ctx, t.dbtx, &db.LettersSettleSupersededParams{CustomerID: customer, Kind: kind, RecordIds: recordIDs})
}

// SettleLetters settles these open letters: how says "retried" or "superseded".
func (t *Tx) SettleLetters(ctx context.Context, ids []uuid.UUID, how string) error {
	if len(ids) == 0 {
		return nil
	}
	return t.deferred(func(on db.DBTX) error {
		return t.queries.LettersSettleRedriven(ctx, on, &db.LettersSettleRedrivenParams{How: &how, Ids: ids})
	})
}

// FailedAttempt is an attempt at a letter that failed.
type FailedAttempt struct {
	ID         uuid.UUID
	ErrorCode  string
	ErrorClass string
	Delay      time.Duration // until the next attempt, if there is one
	Reason     string        // as in RecordLetter; "" keeps the reason of an attempt with the same code
	Answer     []byte        // as in RecordLetter
}

// RetryCaps say when a letter goes to an operator.
type RetryCaps struct {
	Attempts int
	Age      time.Duration // the sum of the delays before the attempts that were made
}

// CountAttempts counts one more attempt for each of these letters. A letter waits again, or goes to review if the
// failure is permanent or a cap is reached.
func (t *Tx) CountAttempts(ctx context.Context, job string, caps RetryCaps, failed []FailedAttempt) error {
	if len(failed) == 0 {
		return nil
	}
	params := &db.LettersCountAttemptsParams{Job: job, MostAttempts: column(caps.Attempts), Longest: caps.Age}
	for _, one := range failed {
		params.Ids = append(params.Ids, one.ID)
		params.ErrorCodes = append(params.ErrorCodes, one.ErrorCode)
		params.ErrorClasses = append(params.ErrorClasses, one.ErrorClass)
		params.Delays = append(params.Delays, one.Delay.Seconds())
		params.Reasons = append(params.Reasons, one.Reason)
		params.Answers = append(params.Answers, one.Answer)
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.LettersCountAttempts(ctx, on, params) })
}

// AddRecordLetters opens a page's record letters in one statement.
func (t *Tx) AddRecordLetters(ctx context.Context, scope LetterScope, letters []RecordLetter) error {
	if len(letters) == 0 {
		return nil
	}
	params := &db.LetterInsertRecordsParams{
		CustomerID: scope.Customer, Kind: scope.Kind, Job: scope.Job, TraceID: &scope.TraceID, FirstDelay: scope.FirstDelay,
	}
	for _, letter := range letters {
		params.Ids = append(params.Ids, letter.ID)
		params.RecordIds = append(params.RecordIds, letter.RecordID)
		params.UpdatedAts = append(params.UpdatedAts, letter.Version.UpdatedAt)
		params.Hashes = append(params.Hashes, letter.Version.Hash)
		params.Subjects = append(params.Subjects, letter.Subject)
		params.ErrorCodes = append(params.ErrorCodes, letter.ErrorCode)
		params.ErrorClasses = append(params.ErrorClasses, letter.ErrorClass)
		params.Reasons = append(params.Reasons, letter.Reason)
		params.Answers = append(params.Answers, letter.Answer)
	}
	return t.queries.LetterInsertRecords(ctx, t.dbtx, params)
}

// AddMessageLetter opens a letter for a message; added is false where its origin has one already.
func (t *Tx) AddMessageLetter(ctx context.Context, letter MessageLetter) (firstFailedAt time.Time, added bool, err error) {
	if letter.Redriven != uuid.Nil {
		if err := t.queries.LetterAwait(ctx, t.dbtx, letter.Redriven); err != nil {
			return firstFailedAt, false, err
		}
	}
	firstFailedAt, err = t.queries.LetterInsertMessageIfNew(ctx, t.dbtx, &db.LetterInsertMessageIfNewParams{
		ID: letter.ID, CustomerID: letter.Customer, PayloadSealed: letter.PayloadSealed, HeadersSealed: letter.HeadersSealed,
		OriginalSubject: letter.Subject,
		Origin:          &letter.Origin, Job: letter.Job, ErrorCode: letter.ErrorCode, Attempts: int32(min(letter.Attempts, 1<<20)), //nolint:gosec // bounded
		Reason: given(letter.Reason), Redriven: letter.Redriven,
	})
	added, err = found(err)
	return firstFailedAt, added, err
}

// MessageLetterOpen says whether a letter of the customer is open whose message was published on a subject that begins so.
func (c Conn) MessageLetterOpen(ctx context.Context, customer, prefix string) (bool, error) {
	return c.queries.LettersOpenUnder(ctx, c.dbtx, &db.LettersOpenUnderParams{CustomerID: customer, Prefix: prefix})
}

// CountOpenLetters is the customer's dead-letter depth.
func (c Conn) CountOpenLetters(ctx context.Context, customer string) (int64, error) {
	return c.queries.LettersOpenCount(ctx, c.dbtx, customer)
}
