package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Purposes that a letter's sealed bytes are sealed for.
const (
	PurposePayload = "letter_payload"
	PurposeHeaders = "letter_headers"
	PurposeAnswer  = "letter_answer"
)

// Opener opens letters for messages that cannot be handled. It is the worker's Letters.
type Opener struct {
	Store *store.Store
	Vault *vault.Vault
	Job   string // the service that met the fault
	// StreamCreated gives the creation time of a stream: sequences start again in a new one.
	StreamCreated func(ctx context.Context, stream string) (time.Time, error)
}

// Stored is a message of a stream, as its letter takes it.
type Stored struct {
	Stream     string
	Created    time.Time // the stream's, as bus.StreamCreated gives it
	Sequence   uint64
	Subject    string
	Data       []byte
	Header     map[string][]string
	Deliveries int
}

// OriginOf names a message for ever: its stream, when that was made, and its sequence there.
func OriginOf(stream string, created time.Time, sequence uint64) string {
	return stream + "/" + created.UTC().Format(time.RFC3339Nano) + "/" + strconv.FormatUint(sequence, 10)
}

// OpenMessage seals the message and opens its letter, durably, before it returns. It is idempotent by the
// message's stream and sequence. A subject that names no readable customer puts the letter under _unknown,
// sealed with the installation's own key.
func (o *Opener) OpenMessage(ctx context.Context, delivery *worker.Delivery, reason error) error {
	created, err := o.StreamCreated(ctx, delivery.Stream)
	if err != nil {
		return fmt.Errorf("read the stream's age: %w", err)
	}
	return o.OpenStored(ctx, Stored{
		Stream: delivery.Stream, Created: created, Sequence: delivery.Sequence, Subject: delivery.Subject, Data: delivery.Data,
		Header: delivery.Header, Deliveries: delivery.Deliveries,
	}, reason)
}

// OpenStored is OpenMessage for a message that nobody is being delivered. One that was published again out of a letter goes on
// with that letter's attempts: see RedriveHeaders.
func (o *Opener) OpenStored(ctx context.Context, message Stored, reason error) error {
	customer := bus.CustomerOf(message.Subject)
	seal := func(purpose string, plain []byte) ([]byte, error) { return o.Vault.Seal(ctx, customer, purpose, plain) }
	subject := message.Subject
	if !rollcallv1.ValidCustomerID(customer) || !isText(subject) {
		customer = rollcallv1.UnknownCustomer
		// The last token is whatever a stranger wrote: it may be a secret, and it stays out of the clear.
		subject = asText(subject[:len(subject)-len(bus.CustomerOf(subject))]) + rollcallv1.UnknownCustomer
		seal = func(purpose string, plain []byte) ([]byte, error) {
			return o.Vault.SealForInstallation(ctx, purpose, plain)
		}
	}
	payload, err := seal(PurposePayload, message.Data)
	if err != nil {
		return fmt.Errorf("seal the message: %w", err)
	}
	headers, err := sealHeaders(message.Header, seal)
	if err != nil {
		return err
	}
	letter := store.MessageLetter{
		ID: uuid.New(), Customer: customer, PayloadSealed: payload, HeadersSealed: headers, Subject: subject,
		Origin: OriginOf(message.Stream, message.Created, message.Sequence),
		Job:    o.Job, ErrorCode: fault.CodeOf(reason), Reason: reasonOf(reason), Attempts: message.Deliveries,
		Redriven: redriveOf(message.Header),
	}
	return o.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, added, err := tx.AddMessageLetter(ctx, letter)
		if err != nil || !added || !bus.IsOnboarding(letter.Subject) {
			return err
		}
		return raiseFor(ctx, tx, letter.Customer)
	})
}

// redriveOf is the letter that a message's headers name, the zero value for none.
func redriveOf(header map[string][]string) uuid.UUID {
	named := header[bus.HeaderLetterID]
	if len(named) == 0 {
		return uuid.Nil
	}
	id, err := uuid.Parse(named[0])
	if err != nil {
		return uuid.Nil
	}
	return id
}

// mostReason bounds the words of a letter: a message may have thousands of wrong fields.
const mostReason = 1000

// reasonOf is what was wrong in words, where they are all our own: errors of fields name fields and never what they held.
// Any other error may quote anything.
func reasonOf(err error) string {
	fields, ok := errors.AsType[rollcallv1.FieldErrors](err)
	if !ok {
		return ""
	}
	text := asText(fields.Error())
	if len(text) > mostReason {
		text = strings.ToValidUTF8(text[:mostReason], "") + "…"
	}
	return text
}

// isText says whether a column takes the subject: the broker takes any bytes for one.
func isText(subject string) bool { return asText(subject) == subject }

func asText(subject string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(subject, "_"), "\x00", "_")
}
