package intake

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Intake handles the messages of one stream.
type Intake struct {
	store    *store.Store
	logger   *zap.Logger
	created  func(ctx context.Context, stream string) (bus.Creation, error)
	erase    func(ctx context.Context, sequence uint64) error
	attempts *attempts

	mu       sync.Mutex
	creation bus.Creation         // of the stream, as it was last looked up
	looked   map[string]time.Time // when an alert about messages of the customer that were not erased was last looked for
}

// lookEvery is how often such an alert is looked for, of one customer: another process may have raised it.
const lookEvery = time.Minute

// New returns an intake. created returns when a stream was created, and erase erases a message of the stream.
func New(from *store.Store, logger *zap.Logger, created func(ctx context.Context, stream string) (bus.Creation, error),
	erase func(ctx context.Context, sequence uint64) error,
) *Intake {
	return &Intake{
		store: from, logger: logger, created: created, erase: erase, attempts: &attempts{store: from, logger: logger}, looked: map[string]time.Time{},
	}
}

// Message is a delivered message with what identifies it for ever.
type Message struct {
	*worker.Delivery

	Created time.Time // of its stream: sequences start again in a new one
	TooMany bool      // too many attempts ended with a crash or a panic: the message must be given up
}

// Handle has commit store the outcome of a message, and then erases the message. Failures on our side, such as an outage of
// Postgres or the key service, are retried without limit.
func (i *Intake) Handle(ctx context.Context, delivery *worker.Delivery, commit func(ctx context.Context, message Message) error) error {
	created, err := i.createdOf(ctx, delivery)
	if err != nil {
		return err
	}
	if delivery.Deliveries == 1 { // no attempt came before it, and two durable statements for each message would cost more than the message
		return i.work(ctx, Message{Delivery: delivery, Created: created}, commit)
	}
	attempt, tooMany, err := i.attempts.begin(ctx, messageletter.OriginOf(delivery.Stream, created, delivery.Sequence))
	if err != nil {
		return err
	}
	err = i.work(ctx, Message{Delivery: delivery, Created: created, TooMany: tooMany}, commit)
	i.attempts.end(ctx, attempt) // not deferred, because a panic must stay noted
	return err
}

// createdOf returns when the stream of a message was created. It asks the server unless the message was published before it last said so.
func (i *Intake) createdOf(ctx context.Context, delivery *worker.Delivery) (time.Time, error) {
	i.mu.Lock()
	known := i.creation
	i.mu.Unlock()
	if known.Covers(delivery.Published) {
		return known.At, nil
	}
	found, err := i.created(ctx, delivery.Stream)
	if err != nil {
		return time.Time{}, err
	}
	i.mu.Lock()
	i.creation = found
	i.mu.Unlock()
	return found.At, nil
}

func (i *Intake) work(ctx context.Context, message Message, commit func(ctx context.Context, message Message) error) error {
	if err := commit(ctx, message); err != nil {
		return err
	}
	return i.eraseMessage(ctx, message.Delivery)
}

func (i *Intake) eraseMessage(ctx context.Context, delivery *worker.Delivery) error {
	customer := bus.CustomerOf(delivery.Subject)
	if !rollcallv1.ValidCustomerID(customer) {
		customer = rollcallv1.UnknownCustomer
	}
	err := i.erase(ctx, delivery.Sequence)
	if errors.Is(err, bus.ErrNotErasable) {
		// The message is acknowledged, because it would be delivered again without end. It leaves the stream, but its bytes stay in
		// the stream's files.
		i.logger.Error("message not erased", zap.String("customer", customer), zap.Uint64("sequence", delivery.Sequence), zap.Error(err))
		i.lookAgain(customer)
		return i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return event.Raise(ctx, tx, event.AlertFor(customer, event.AlertMessageNotErased))
		})
	}
	if err != nil {
		return err
	}
	if err := i.noteErasureWorks(ctx, customer); err != nil {
		i.logger.Warn("alert not cleared", zap.String("customer", customer), zap.Error(err))
	}
	return worker.ErrSettled
}

// noteErasureWorks clears the alert of an earlier message that could not be erased.
func (i *Intake) noteErasureWorks(ctx context.Context, customer string) error {
	if !i.mustLook(customer) {
		return nil
	}
	active, err := i.store.HasActiveAlert(ctx, customer, event.AlertMessageNotErased)
	if err != nil || !active {
		return err
	}
	return i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return event.Clear(ctx, tx, customer, event.AlertMessageNotErased,
			"A later message was erased. If the earlier one had a token in the clear, have it replaced.")
	})
}

// mustLook reports whether the customer is due to be looked at for an alert: a look for each message would cost as much as the message itself.
func (i *Intake) mustLook(customer string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if last, known := i.looked[customer]; known && now.Sub(last) < lookEvery {
		return false
	}
	i.looked[customer] = now
	return true
}

func (i *Intake) lookAgain(customer string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.looked, customer)
}
