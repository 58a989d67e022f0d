package messageletter

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

// Purposes for which parts of a message letter are sealed.
const (
	PurposePayload = "letter_payload"
	PurposeHeaders = "letter_headers"
)

// Opener opens letters for messages that cannot be processed. It implements the worker's Letters.
type Opener struct {
	Store *store.Store
	Vault *vault.Vault
	Job   string // the service in which the message failed
	// StreamCreated returns the creation time of a stream: sequences start again in a new one.
	StreamCreated func(ctx context.Context, stream string) (time.Time, error)
}

// Stored is a message of a stream, as needed for its letter.
type Stored struct {
	Stream     string
	Created    time.Time // creation time of the stream, from bus.StreamCreated
	Sequence   uint64
	Subject    string
	Data       []byte
	Header     map[string][]string
	Deliveries int
}

// OriginOf identifies a message for ever: by its stream, the stream's creation time, and its sequence there.
func OriginOf(stream string, created time.Time, sequence uint64) string {
	return stream + "/" + created.UTC().Format(time.RFC3339Nano) + "/" + strconv.FormatUint(sequence, 10)
}

// OpenMessage seals the message and stores its letter before it returns. It is idempotent by the message's stream and
// sequence. If the subject names no valid customer, the letter belongs to _unknown and is sealed with the
// installation's own key.
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

// OpenStored is OpenMessage for a message that is not being delivered. If the message was republished from a letter,
// the new letter continues that letter's attempts: see RedriveHeaders.
func (o *Opener) OpenStored(ctx context.Context, message Stored, reason error) error {
	customer := bus.CustomerOf(message.Subject)
	seal := func(purpose string, plain []byte) ([]byte, error) { return o.Vault.Seal(ctx, customer, purpose, plain) }
	subject := message.Subject
	if !rollcallv1.ValidCustomerID(customer) || !isText(subject) {
		customer = rollcallv1.UnknownCustomer
		// Any publisher may have written the last token. It may be a secret, so it must not be stored unsealed.
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

// redriveOf returns the id of the letter that a message's headers name, uuid.Nil if there is none.
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

// maxReason limits the length of a letter's reason: a message may have thousands of wrong fields.
const maxReason = 1000

// reasonOf returns the error text if it is rollcall's own: field errors name fields and never their values. Any other
// error may quote the message, so its text is left out.
func reasonOf(err error) string {
	fields, ok := errors.AsType[rollcallv1.FieldErrors](err)
	if !ok {
		return ""
	}
	text := asText(fields.Error())
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// isText reports whether a text column can store the subject: the broker accepts any bytes in a subject.
func isText(subject string) bool { return asText(subject) == subject }

func asText(subject string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(subject, "_"), "\x00", "_")
}
