package deadletter

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/store"
)

const (
	// firstRetry is the delay before the first retry of a retryable letter.
	firstRetry   = 5 * time.Second
	longestRetry = time.Hour
)

// PurposeAnswer is the purpose for which a destination's answer is sealed.
const PurposeAnswer = "letter_answer"

// Rejection is a rejected record that gets a letter.
type Rejection struct {
	RecordID  string
	Version   store.Version
	Code      string
	Reason    string // what is wrong with the record, in rollcall's words and without its values; "" if the code says it all
	Answer    []byte // the destination's answer, sealed for PurposeAnswer; nil if it gave none
	Retryable bool
}

// Scope holds what the letters of one page share.
type Scope struct {
	Customer string
	Kind     string // "": KindUser
	Job      string
	TraceID  string
}

// OpenRecords opens letters for rejected records in the page's transaction, so that the cursor never moves past a
// record without a letter. If the record's open letter is for another version, a new letter supersedes it. The caller
// leaves out records whose open letter is for the same version.
func OpenRecords(ctx context.Context, tx *store.Tx, scope Scope, rejections []Rejection) error {
	if len(rejections) == 0 {
		return nil
	}
	kind := cmp.Or(scope.Kind, KindUser)
	ids := make([]string, 0, len(rejections))
	letters := make([]store.RecordLetter, 0, len(rejections))
	for _, record := range rejections {
		id := uuid.New()
		ids = append(ids, record.RecordID)
		letters = append(letters, store.RecordLetter{
			ID: id, RecordID: record.RecordID, Version: record.Version, ErrorCode: record.Code, ErrorClass: classOf(record.Retryable),
			Reason: record.Reason, Answer: record.Answer,
			Subject: requestSubject(kind, scope.Customer, id),
		})
	}
	if _, err := tx.SupersedeLetters(ctx, scope.Customer, kind, ids); err != nil {
		return err
	}
	return tx.AddRecordLetters(ctx, store.LetterScope{
		Customer: scope.Customer, Kind: kind, Job: scope.Job, TraceID: scope.TraceID, FirstDelay: firstRetry,
	}, letters)
}

// FailedAttempt is an attempt at a letter that failed: the letter's version was rejected again, or its user was not read.
type FailedAttempt struct {
	Letter    store.OpenLetter
	Code      string
	Reason    string // as in Rejection
	Answer    []byte // as in Rejection
	Retryable bool
}

// CountAttempts counts one more attempt for each letter, in the page's transaction. The letters then wait longer than
// before. A letter goes to an operator if the failure is permanent, or if it reached the maximum of attempts or of age.
func CountAttempts(ctx context.Context, tx *store.Tx, job string, caps store.RetryCaps, failed []FailedAttempt) error {
	attempts := make([]store.FailedAttempt, 0, len(failed))
	for _, one := range failed {
		attempts = append(attempts, store.FailedAttempt{
			ID: one.Letter.ID, ErrorCode: one.Code, ErrorClass: classOf(one.Retryable), Delay: Delay(one.Letter.Attempts + 1),
			Reason: one.Reason, Answer: one.Answer,
		})
	}
	return tx.CountAttempts(ctx, job, caps, attempts)
}

// Delay returns how long a letter waits after that many attempts: 5 s after the first, twice as long after each
// further one, up to an hour. It is shorter by a random share of up to a fifth, so that letters which were opened
// together are not retried together.
func Delay(attempts int) time.Duration {
	return backoff.Delays{First: firstRetry, Longest: longestRetry, Jitter: 0.2}.After(attempts)
}

func classOf(retryable bool) string {
	if retryable {
		return ClassRetryable
	}
	return ClassPermanent
}
