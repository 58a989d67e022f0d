package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/telemetry"
)

// Letters opens dead letters for messages that no retry can help. It returns when the letter is durable; the worker settles
// the message after that.
type Letters interface {
	OpenMessage(ctx context.Context, delivery *Delivery, reason error) error
}

// Handler does the work of one message. Its error decides what happens to the message: with nil it is acknowledged, with
// ErrSettled the handler has settled it, with Retry it is delivered again after the given time, with a permanent fault it
// becomes a dead letter. After any other error it is delivered again with a growing delay.
type Handler func(ctx context.Context, delivery *Delivery) error

// Worker pulls from one durable consumer that all replicas share.
type Worker struct {
	Name     string
	Conn     *nats.Conn
	Consumer jetstream.Consumer
	Slots    *Slots // messages handled at the same time
	Handler  Handler
	Letters  Letters
	Logger   *zap.Logger
	Metrics  *Metrics
	Tracing  *telemetry.Tracing // nil: nothing is traced

	Ceiling   time.Duration // how long the work on one delivery may take; default 15 minutes
	DrainTime time.Duration // how long work may continue after ctx has ended; default 14 s
}

const (
	defaultCeiling = 15 * time.Minute
	// After the drain time, a write that has left is waited for up to 10 s. Both are less than the 25 s in which a service stops.
	defaultDrainTime = 14 * time.Second
	// pullExpiry is how long one request for a message waits at the server. A stop waits for the answer at most as long, see pull.
	pullExpiry = time.Second
	// The server answers when a request has expired. No answer within maxPullWait means a transient fault or a missing consumer.
	maxPullWait   = pullExpiry + 500*time.Millisecond
	faultPause    = 500 * time.Millisecond
	lookupTimeout = 2 * time.Second
)

// Run handles messages until ctx ends, then drains. Its error says that the consumer was deleted or the connection was closed;
// a restart may help.
func (w *Worker) Run(ctx context.Context) error {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(ErrStopping)

	// The drain time starts when ctx ends, not when the pull ends, which may take longer.
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

// pull requests messages, and always waits for the answer. An iterator would be unsubscribed when the service stops; a message that the server sends
// in that moment would be lost until the ack wait has passed (seen in one stop out of seven on a busy machine).
func (w *Worker) pull(ctx, work context.Context, running *sync.WaitGroup) error {
	slots := w.Slots
	isBacklog := false // the server had more messages than were requested last
	for {
		if !slots.take(ctx) || isStopping(ctx) {
			return nil
		}
		count := 1
		if isBacklog {
			count += slots.takeUpTo(math.MaxInt)
		}
		asked := time.Now()
		isBacklog = false
		begun, err := w.request(count, func(msg jetstream.Msg) {
			if isStopping(ctx) { // the message arrived during the stop: another replica will get it
				w.handBack(msg)
				slots.giveBack(1)
				return
			}
			metadata, err := msg.Metadata()
			isBacklog = err == nil && metadata.NumPending > 0
			done := slots.handling()
			running.Go(func() {
				defer done()
				w.deliver(ctx, work, msg)
			})
		})
		slots.giveBack(count - begun)
		if isStopping(ctx) {
			return nil
		}
		switch {
		case err == nil:
		case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrBadRequest):
			return fmt.Errorf("pull from %s: %w", w.Name, err)
		case errors.Is(err, nats.ErrTimeout) && time.Since(asked) < maxPullWait:
			// The server has no message.
		default: // no answer, a reconnect, a new leader: transient faults
			w.Metrics.interrupted(w.Name)
			w.Logger.Debug("pull interrupted", zap.String("consumer", w.Name), zap.Error(err))
			if err := w.checkConsumer(ctx); err != nil {
				return fmt.Errorf("pull from %s: %w", w.Name, err)
			}
			_ = backoff.Sleep(ctx, faultPause) // the loop checks whether ctx has ended
		}
	}
}

// request waits for one message, or takes up to count that the server has. begin is called with each, and must not wait.
func (w *Worker) request(count int, begin func(msg jetstream.Msg)) (begun int, err error) {
	if count == 1 {
		msg, err := w.Consumer.Next(jetstream.FetchMaxWait(pullExpiry))
		if err != nil {
			return 0, err
		}
		begin(msg)
		return 1, nil
	}
	batch, err := w.Consumer.FetchNoWait(count)
	if err != nil {
		return 0, err
	}
	for msg := range batch.Messages() {
		begin(msg)
		begun++
	}
	return begun, batch.Error()
}

func isStopping(ctx context.Context) bool { return ctx.Err() != nil }

// checkConsumer returns an error if the consumer no longer exists. The server reports a deletion only to the requests that wait
// in that moment; it does not answer later requests, for example of a worker that was busy.
func (w *Worker) checkConsumer(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, lookupTimeout)
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
	beating := w.startHeartbeat(handling, cancel, msg, delivery.Sequence)
	traced, span := w.Tracing.Process(handling, w.Name, delivery.Subject, delivery.Header)
	outcome := w.callHandler(traced, delivery)
	if cause := context.Cause(handling); outcome != nil && cause != nil {
		outcome = errors.Join(cause, outcome)
	}
	cancel(nil)
	<-beating.stopped
	if outcome != nil && beating.isOverdue() {
		outcome = errors.Join(ErrHeartbeatLost, outcome)
	}
	w.settle(work, msg, delivery, outcome, time.Since(started), telemetry.LogFields(traced))
	span.End(failureOf(outcome))
}

func (w *Worker) callHandler(ctx context.Context, delivery *Delivery) (err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			w.Logger.Error("handler panicked", zap.String("consumer", w.Name), zap.Uint64("sequence", delivery.Sequence),
				zap.String("panic", fault.PanicText(recovered)), zap.ByteString("stack", debug.Stack()))
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
