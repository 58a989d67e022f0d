package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrSettled is what a handler returns that settled its message in another way, by deleting it from the
// stream: the worker then leaves it alone.
var ErrSettled = errors.New("settled by the handler")

// Causes with which the context of a handler may end.
var (
	ErrStopping      = errors.New("the service stops and the time for draining is over")
	ErrHeartbeatLost = errors.New("the heartbeat was lost: another worker may have the message")
	ErrTooLong       = errors.New("the work went on past its ceiling")
)

// retryError asks for the message again after a while.
type retryError struct {
	after time.Duration
	err   error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// Retry asks for the message again after the given time, a few minutes at most: longer waits are parked in
// Postgres, since a delayed message holds a place among those in flight.
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
	mu       sync.Mutex
	beats    []func(ctx context.Context) error
}

// Draining is closed when the service is asked to stop: finish what is in hand, or hand it back.
func (d *Delivery) Draining() <-chan struct{} { return d.draining }

// OnHeartbeat adds what every heartbeat also does, such as renewing a lease. An error that ends the right to
// work must be returned as one that EndsWork knows.
func (d *Delivery) OnHeartbeat(beat func(ctx context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beats = append(d.beats, beat)
}

func (d *Delivery) heartbeats() []func(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]func(context.Context) error(nil), d.beats...)
}

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
