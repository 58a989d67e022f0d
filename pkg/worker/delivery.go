package worker

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrSettled says that the handler has settled its message itself, by deleting it from the stream. The worker then sends
// nothing for the message.
var ErrSettled = errors.New("settled by the handler")

// Causes for which the worker cancels a handler's context.
var (
	ErrStopping      = errors.New("the service is stopping and the drain time has passed")
	ErrHeartbeatLost = errors.New("the heartbeat was lost: another worker may have the message")
	ErrTooLong       = errors.New("the work took longer than its ceiling")
)

// retryError asks the worker to deliver the message again later.
type retryError struct {
	after time.Duration
	err   error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// Retry asks the worker to deliver the message again after the given time, a few minutes at most. Longer waits belong in
// Postgres, because a delayed message holds a place among the consumer's pending messages.
func Retry(after time.Duration, err error) error { return &retryError{after: after, err: err} }

// Delivery is one attempt at a message.
type Delivery struct {
	Subject    string
	Data       []byte
	Header     map[string][]string
	Stream     string
	Sequence   uint64
	Deliveries int // this one included
	Published  time.Time

	draining <-chan struct{}
}

// Draining returns a channel that is closed when the service stops. A handler then finishes its work or hands it back.
func (d *Delivery) Draining() <-chan struct{} { return d.draining }

// deliveryOf returns the delivery of a message.
func deliveryOf(msg jetstream.Msg, draining <-chan struct{}) (*Delivery, error) {
	metadata, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	return &Delivery{
		Subject: msg.Subject(), Data: msg.Data(), Header: msg.Headers(), Stream: metadata.Stream,
		Sequence: metadata.Sequence.Stream, Deliveries: int(min(metadata.NumDelivered, 1<<30)),
		Published: metadata.Timestamp, draining: draining,
	}, nil
}
