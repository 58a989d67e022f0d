package deadletter

import (
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Kinds of letters.
const (
	KindUser    = "user"    // a record that a destination rejected, or that could not be read
	KindMessage = "message" // a message that could not be handled
)

// Classes of errors in the header Rollcall-Error-Class.
const (
	ClassRetryable = "retryable"
	ClassPermanent = "permanent"
)

// Published is an open letter as ROLLCALL_DLQ publishes it: ids and a reason, never a person's data.
type Published struct {
	ID              uuid.UUID
	Revision        int // grows with every change that is published
	Customer        string
	Kind            string
	Waiting         bool // rollcall retries it; false: it waits for an operator
	RecordID        string
	UpdatedAt       time.Time // zero if the letter has no version
	ErrorCode       string
	ErrorClass      string
	Attempts        int
	FirstFailedAt   time.Time
	Job             string
	TraceID         string
	OriginalSubject string
}

// Message returns the letter's message for the stream. The same revision always has the same message id, so the
// stream recognises a repeated publish within its window.
func (s Published) Message() (bus.Outgoing, error) {
	letter := &rollcallv1.DeadLetter{
		LetterId: s.ID.String(), CustomerId: s.Customer, Kind: s.Kind, RecordId: s.RecordID, ErrorCode: s.ErrorCode,
		ErrorClass: s.ErrorClass, Attempts: int32(min(s.Attempts, 1<<20)), FirstFailedAt: timestamppb.New(s.FirstFailedAt), //nolint:gosec // bounded
		Job: s.Job, TraceId: s.TraceID, OriginalSubject: s.OriginalSubject,
	}
	if !s.UpdatedAt.IsZero() {
		letter.SourceUpdatedAt = timestamppb.New(s.UpdatedAt)
	}
	payload, err := rollcallv1.Encode(letter)
	if err != nil {
		return bus.Outgoing{}, err
	}
	headers := map[string]string{
		bus.HeaderContentType: "application/json", bus.HeaderLetterID: s.ID.String(), bus.HeaderError: s.ErrorCode,
		bus.HeaderErrorClass: s.ErrorClass, bus.HeaderAttempts: strconv.Itoa(s.Attempts),
		bus.HeaderFirstFailedAt: s.FirstFailedAt.UTC().Format(time.RFC3339), bus.HeaderOriginalSubject: s.OriginalSubject,
	}
	if s.RecordID != "" {
		headers[bus.HeaderRecordID] = s.RecordID
	}
	if s.TraceID != "" {
		headers[bus.HeaderTraceParent] = s.TraceID
	}
	return bus.Outgoing{
		Subject: bus.SubjectLetter(s.Waiting, s.Kind, s.Customer), ID: "letter-" + s.ID.String() + "-" + strconv.Itoa(s.Revision),
		Headers: headers, Payload: payload,
	}, nil
}
