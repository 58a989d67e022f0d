package deadletter

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const (
	// firstRetry is the delay before the first retry of a retryable letter.
	firstRetry   = 5 * time.Second
	longestRetry = time.Hour
)

// Refused is a rejected record that gets a letter.
type Refused struct {
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
	Job      string
	TraceID  string
}

// OpenRecords opens letters for rejected records in the page's transaction, so that the cursor never moves past a
// record without a letter. If the record's open letter is for another version, a new letter supersedes it. The caller
// leaves out records whose open letter is for the same version.
func OpenRecords(ctx context.Context, tx *store.Tx, scope Scope, refused []Refused) error {
	if len(refused) == 0 {
		return nil
	}
	ids := make([]string, 0, len(refused))
	letters := make([]store.RecordLetter, 0, len(refused))
	for _, record := range refused {
		ids = append(ids, record.RecordID)
		letters = append(letters, store.RecordLetter{
			ID: uuid.New(), RecordID: record.RecordID, Version: record.Version, ErrorCode: record.Code, ErrorClass: classOf(record.Retryable),
			Reason: record.Reason, Answer: record.Answer,
			Subject: bus.SubjectLetter(true, KindUser, scope.Customer), // republishing the letter on this subject means "retry it now"
		})
	}
	if _, err := tx.SupersedeLetters(ctx, scope.Customer, KindUser, ids); err != nil {
		return err
	}
	return tx.AddRecordLetters(ctx, store.LetterScope{
		Customer: scope.Customer, Kind: KindUser, Job: scope.Job, TraceID: scope.TraceID, FirstDelay: firstRetry,
	}, letters)
}

// Again is a letter whose version was rejected once more.
type Again struct {
	Letter    store.OpenLetter
	Code      string
	Reason    string // as in Refused
	Answer    []byte // as in Refused
	Retryable bool
}

// FailAgain counts one more attempt in the page's transaction. The letters then wait longer than before. A letter
// goes to an operator if the rejection is permanent, or if it reached the maximum of attempts or of age.
func FailAgain(ctx context.Context, tx *store.Tx, job string, caps store.RetryCaps, failed []Again) error {
	letters := make([]store.FailedAgain, 0, len(failed))
	for _, one := range failed {
		letters = append(letters, store.FailedAgain{
			ID: one.Letter.ID, ErrorCode: one.Code, ErrorClass: classOf(one.Retryable), Delay: Delay(one.Letter.Attempts + 1),
			Reason: one.Reason, Answer: one.Answer,
		})
	}
	return tx.FailLettersAgain(ctx, job, caps, letters)
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
