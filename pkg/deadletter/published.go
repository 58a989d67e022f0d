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
	KindUser       = "user"        // a record that a destination rejected, or that could not be read
	KindUserDelete = "user_delete" // a user that VOMO deleted, and that a destination did not delete
	KindMessage    = "message"     // a message that could not be handled
	KindWriteback  = "writeback"   // a user whose values VOMO rejected
	KindDonation   = "donation"    // a message that is no valid donation, or that differs from the donation with its id
	KindContact    = "contact"     // a message that is no valid contact
)

// HoldsMessage reports whether letters of the kind have a message, which a retry publishes again.
func HoldsMessage(kind string) bool {
	return kind == KindMessage || kind == KindDonation || kind == KindContact
}

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

// Subject returns the letter's subject in the stream.
func (p Published) Subject() string {
	return bus.LetterSubject{Waiting: p.Waiting, Kind: p.Kind, Customer: p.Customer, Letter: p.ID.String()}.String()
}

// requestSubject returns the subject on which any message asks for a retry of the letter.
func requestSubject(kind, customer string, letter uuid.UUID) string {
	return bus.LetterSubject{Waiting: true, Kind: kind, Customer: customer, Letter: letter.String()}.String()
}

// Message returns the letter's message for the stream. It has no message id: the stream keeps one message per subject,
// so a repeated publish replaces the first one, and the stream must not take it for a duplicate of a message that is
// gone.
func (p Published) Message() (bus.Outgoing, error) {
	original := p.OriginalSubject
	if !HoldsMessage(p.Kind) { // letters of the version before have a subject without the letter
		original = requestSubject(p.Kind, p.Customer, p.ID)
	}
	letter := &rollcallv1.DeadLetter{
		LetterId: p.ID.String(), CustomerId: p.Customer, Kind: p.Kind, RecordId: p.RecordID, ErrorCode: p.ErrorCode,
		ErrorClass: p.ErrorClass, Attempts: int32(min(p.Attempts, 1<<20)), FirstFailedAt: timestamppb.New(p.FirstFailedAt), //nolint:gosec // bounded
		Job: p.Job, TraceId: p.TraceID, OriginalSubject: original,
	}
	if !p.UpdatedAt.IsZero() {
		letter.SourceUpdatedAt = timestamppb.New(p.UpdatedAt)
	}
	payload, err := rollcallv1.Encode(letter)
	if err != nil {
		return bus.Outgoing{}, err
	}
	headers := map[string]string{
		bus.HeaderContentType: "application/json", bus.HeaderLetterID: p.ID.String(), bus.HeaderLetterRevision: strconv.Itoa(p.Revision),
		bus.HeaderError: p.ErrorCode, bus.HeaderErrorClass: p.ErrorClass, bus.HeaderAttempts: strconv.Itoa(p.Attempts),
		bus.HeaderFirstFailedAt: p.FirstFailedAt.UTC().Format(time.RFC3339), bus.HeaderOriginalSubject: original,
	}
	if p.RecordID != "" {
		headers[bus.HeaderRecordID] = p.RecordID
	}
	if p.TraceID != "" {
		headers[bus.HeaderTraceParent] = p.TraceID
	}
	return bus.Outgoing{Subject: p.Subject(), Headers: headers, Payload: payload}, nil
}
