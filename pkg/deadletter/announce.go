package deadletter

import (
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Kinds of letters.
const (
	KindUser    = "user"    // a record that a destination refused, or that could not be read
	KindMessage = "message" // a message that could not be handled
)

// Classes of errors, as the header Rollcall-Error-Class has them.
const (
	ClassRetryable = "retryable"
	ClassPermanent = "permanent"
)

// announced is what ROLLCALL_DLQ shows of a letter.
type announced struct {
	id              uuid.UUID
	customer        string
	kind            string
	recordID        string
	updatedAt       time.Time
	errorCode       string
	errorClass      string
	attempts        int
	firstFailedAt   time.Time
	job             string
	traceID         string
	originalSubject string
}

func (a announced) message() (store.Message, error) {
	letter := &rollcallv1.DeadLetter{
		LetterId: a.id.String(), CustomerId: a.customer, Kind: a.kind, RecordId: a.recordID, ErrorCode: a.errorCode,
		ErrorClass: a.errorClass, Attempts: int32(min(a.attempts, 1<<20)), FirstFailedAt: timestamppb.New(a.firstFailedAt), //nolint:gosec // bounded
		Job: a.job, TraceId: a.traceID, OriginalSubject: a.originalSubject,
	}
	if !a.updatedAt.IsZero() {
		letter.SourceUpdatedAt = timestamppb.New(a.updatedAt)
	}
	payload, err := rollcallv1.Encode(letter)
	if err != nil {
		return store.Message{}, err
	}
	headers := map[string]string{
		bus.HeaderContentType: "application/json", bus.HeaderLetterID: a.id.String(), bus.HeaderError: a.errorCode,
		bus.HeaderErrorClass: a.errorClass, bus.HeaderAttempts: strconv.Itoa(a.attempts),
		bus.HeaderFirstFailedAt: a.firstFailedAt.UTC().Format(time.RFC3339), bus.HeaderOriginalSubject: a.originalSubject,
	}
	if a.recordID != "" {
		headers[bus.HeaderRecordID] = a.recordID
	}
	if a.traceID != "" {
		headers[bus.HeaderTraceParent] = a.traceID
	}
	return store.Message{
		Subject: bus.SubjectLetter(a.errorClass == ClassRetryable, a.kind, a.customer), ID: "letter-" + a.id.String(),
		Headers: headers, Payload: payload,
	}, nil
}
