package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
)

// Letters takes messages that no retry can mend. It returns once the letter is durable: only then is the
// message settled.
type Letters interface {
	OpenMessage(ctx context.Context, delivery *Delivery, reason error) error
}

// Handler does the work of one message. Its error says what becomes of the message: nil, it is done;
// ErrSettled, the handler settled it; Retry, it comes again after a while; a permanent fault makes it a dead
// letter; anything else brings it again with a growing delay.
type Handler func(ctx context.Context, delivery *Delivery) error

// Worker pulls from one durable consumer that all replicas share.
type Worker struct {
	Name     string
	Conn     *nats.Conn
	Consumer jetstream.Consumer
	Slots    int // messages worked at once
	Handler  Handler
	Letters  Letters
	Logger   *zap.Logger
	Metrics  *Metrics

	EndsWork  error         // an error of this kind from a heartbeat ends the work at once
	Ceiling   time.Duration // how long one delivery may be worked; default 15 minutes
	DrainTime time.Duration // how long work may go on after ctx has ended; default 14 s
}

const (
	defaultCeiling = 15 * time.Minute
	// A write that has left is waited for after it, up to 10 s: together under the 25 s in which a service stops.
	defaultDrainTime = 14 * time.Second
	// How long one request for a message waits at the server. A stop waits for the answer at most as long: see
	// pull.
	pullExpiry = time.Second
	// The server answers when a request has run out; a silence longer than this is weather, or nobody there.
	silence       = pullExpiry + 500*time.Millisecond
	weatherPause  = 500 * time.Millisecond
	lookUpTimeout = 2 * time.Second
)

// Run works until ctx ends, then drains. Its error is one that a restart may mend: the consumer was deleted,
// or the connection was closed.
func (w *Worker) Run(ctx context.Context) error {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(ErrStopping)

	// The time for draining runs from the end of ctx, not from the end of the pull, which may be slow to come.
	pulling, pulled := context.WithCancel(ctx)
	finished := make(chan struct{})
	var clock sync.WaitGroup
	clock.Go(func() {
		<-pulling.Done()
		drain := time.NewTimer(withDefault(w.DrainTime, defaultDrainTime))
		defer drain.Stop()
		select {
		case <-finished:
		case <-drain.C:
			stop(ErrStopping)
		}
	})

	var running sync.WaitGroup
	err := w.pull(ctx, work, &running)
	pulled()
	running.Wait()
	close(finished)
	clock.Wait()
	return err
}

// pull asks for one message at a time, each with a request of its own that is always waited for. An iterator
// would be unsubscribed when the service stops, and a message that the server sends in that moment has nobody to
// go to: it stood still until the ack wait was over (seen in one stop out of seven on a busy machine).
func (w *Worker) pull(ctx, work context.Context, running *sync.WaitGroup) error {
	slots := make(chan struct{}, w.Slots)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		if stopping(ctx) {
			return nil
		}
		asked := time.Now()
		msg, err := w.Consumer.Next(jetstream.FetchMaxWait(pullExpiry))
		if stopping(ctx) {
			if msg != nil { // it came meanwhile: another replica takes it
				w.handBack(msg)
			}
			return nil
		}
		switch {
		case err == nil:
			running.Go(func() {
				defer func() { <-slots }()
				w.deliver(ctx, work, msg)
			})
			continue
		case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrBadRequest):
			return fmt.Errorf("pull from %s: %w", w.Name, err)
		case errors.Is(err, nats.ErrTimeout) && time.Since(asked) < silence:
			// Nothing to do: the server said so.
		default: // silence, a reconnect, a new leader: weather, not death
			w.Metrics.interrupted(w.Name)
			w.Logger.Debug("pull interrupted", zap.String("consumer", w.Name), zap.Error(err))
			if err := w.gone(ctx); err != nil {
				return fmt.Errorf("pull from %s: %w", w.Name, err)
			}
			_ = backoff.Sleep(ctx, weatherPause) // that ctx has ended is seen above
		}
		<-slots
	}
}

func stopping(ctx context.Context) bool { return ctx.Err() != nil }

// gone is an error when the consumer does not exist any more. Only a pull that waits at that moment is told; one
// that is sent later, by a worker that was busy, meets silence.
func (w *Worker) gone(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	_, err := w.Consumer.Info(bounded)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	return nil
}

// deliver runs the handler with its heartbeat and settles the message by the outcome.
func (w *Worker) deliver(ctx, work context.Context, msg jetstream.Msg) {
	delivery, err := deliveryOf(msg, ctx.Done())
	if err != nil {
		w.Logger.Error("message without metadata", zap.String("consumer", w.Name), zap.Error(err))
		return
	}
	started := time.Now()
	handling, cancel := context.WithCancelCause(work)
	beating := w.startHeartbeat(handling, cancel, msg, delivery)
	outcome := w.call(handling, delivery)
	if cause := context.Cause(handling); outcome != nil && cause != nil {
		outcome = errors.Join(cause, outcome)
	}
	cancel(nil)
	<-beating.stopped
	if outcome != nil && beating.overdue() {
		outcome = errors.Join(ErrHeartbeatLost, outcome)
	}
	w.settle(work, msg, delivery, outcome, time.Since(started))
}

func (w *Worker) call(ctx context.Context, delivery *Delivery) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			w.Logger.Error("handler panicked", zap.String("consumer", w.Name), zap.Uint64("sequence", delivery.Sequence),
				zap.Any("panic", caught), zap.ByteString("stack", debug.Stack()))
			err = errors.New("handler panicked")
		}
	}()
	return w.Handler(ctx, delivery)
}

func withDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
