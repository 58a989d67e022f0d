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
	KindUser    = "user"    // a record that a destination refused, or that could not be read
	KindMessage = "message" // a message that could not be handled
)

// Classes of errors, as the header Rollcall-Error-Class has them.
const (
	ClassRetryable = "retryable"
	ClassPermanent = "permanent"
)

// Shown is what ROLLCALL_DLQ shows of an open letter: ids and a reason, never a person's data.
type Shown struct {
	ID              uuid.UUID
	Revision        int // grows with every change that is shown
	Customer        string
	Kind            string
	Waiting         bool // it is tried again by itself; false: it waits for an operator
	RecordID        string
	UpdatedAt       time.Time // zero where it has no version
	ErrorCode       string
	ErrorClass      string
	Attempts        int
	FirstFailedAt   time.Time
	Job             string
	TraceID         string
	OriginalSubject string
}

// Message is the letter as the stream shows it. Its id is the same for the same revision, so that a second publishing
// of it is recognised within the stream's window.
func (s Shown) Message() (bus.Outgoing, error) {
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
