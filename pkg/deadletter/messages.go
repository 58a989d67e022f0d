package deadletter

import (
	"context"
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

// PurposePayload is what a letter's sealed bytes are sealed for.
const PurposePayload = "letter_payload"

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
	Deliveries int
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
		Deliveries: delivery.Deliveries,
	}, reason)
}

// OpenStored is OpenMessage for a message that nobody is being delivered.
func (o *Opener) OpenStored(ctx context.Context, message Stored, reason error) error {
	customer := bus.CustomerOf(message.Subject)
	seal := func() ([]byte, error) { return o.Vault.Seal(ctx, customer, PurposePayload, message.Data) }
	subject := message.Subject
	if !rollcallv1.ValidCustomerID(customer) || !isText(subject) {
		customer = rollcallv1.UnknownCustomer
		// The last token is whatever a stranger wrote: it may be a secret, and it stays out of the clear.
		subject = asText(subject[:len(subject)-len(bus.CustomerOf(subject))]) + rollcallv1.UnknownCustomer
		seal = func() ([]byte, error) { return o.Vault.SealForInstallation(ctx, PurposePayload, message.Data) }
	}
	sealed, err := seal()
	if err != nil {
		return fmt.Errorf("seal the message: %w", err)
	}
	letter := store.MessageLetter{
		ID: uuid.New(), Customer: customer, PayloadSealed: sealed, Subject: subject,
		Origin: message.Stream + "/" + message.Created.UTC().Format(time.RFC3339Nano) + "/" + strconv.FormatUint(message.Sequence, 10),
		Job:    o.Job, ErrorCode: fault.CodeOf(reason), Attempts: message.Deliveries,
	}
	return o.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.AddMessageLetter(ctx, letter)
		return err
	})
}

// isText says whether a column takes the subject: the broker takes any bytes for one.
func isText(subject string) bool { return asText(subject) == subject }

func asText(subject string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(subject, "_"), "\x00", "_")
}
