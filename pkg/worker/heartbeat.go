package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// progress is what JetStream takes for an InProgress.
const progress = "+WPI"

// heartbeat is how long the server has known that one delivery is being worked.
type heartbeat struct {
	ackWait   time.Duration
	confirmed atomic.Pointer[time.Time]
	stopped   chan struct{} // closed when no beat is under way any more
}

// since is how long ago the server last heard from the work, at least.
func (h *heartbeat) since() time.Duration { return time.Since(*h.confirmed.Load()) }

// overdue says that another worker may have the message: also after the whole process stood still, when the
// server would confirm the next beat as if nothing had happened. The server counts from when it sent the message
// or heard the beat, which was earlier than we noted it: a sixth of the ack wait is kept for the way.
func (h *heartbeat) overdue() bool { return h.since() > 5*h.ackWait/6 }

// startHeartbeat tells the server at a third of the ack wait that the work goes on, and runs the delivery's
// own beats with it. The work is cancelled when the server has not confirmed a beat for two thirds of the ack
// wait: past that another worker may have the message.
func (w *Worker) startHeartbeat(ctx context.Context, cancel context.CancelCauseFunc, msg jetstream.Msg, delivery *Delivery) *heartbeat {
	ackWait := w.Consumer.CachedInfo().Config.AckWait
	heart := &heartbeat{ackWait: ackWait, stopped: make(chan struct{})}
	began := time.Now()
	heart.confirmed.Store(&began)
	go func() {
		defer close(heart.stopped)
		ticker := time.NewTicker(ackWait / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if time.Since(began) > withDefault(w.Ceiling, defaultCeiling) {
				cancel(ErrTooLong)
				return
			}
			if heart.overdue() {
				cancel(ErrHeartbeatLost)
				return
			}
			asked := time.Now()
			if err := w.beat(ctx, msg, delivery, ackWait/6); err == nil {
				heart.confirmed.Store(&asked)
			} else if ctx.Err() == nil {
				if w.EndsWork != nil && errors.Is(err, w.EndsWork) {
					cancel(err)
					return
				}
				w.Logger.Warn("heartbeat not confirmed", zap.String("consumer", w.Name), zap.Uint64("sequence", delivery.Sequence), zap.Error(err))
			}
			if heart.since() > 2*ackWait/3 {
				cancel(ErrHeartbeatLost)
				return
			}
		}
	}()
	return heart
}

// beat asks the server to confirm the progress: InProgress alone is fire and forget, and a buffered one looks
// sent while the connection is down.
func (w *Worker) beat(ctx context.Context, msg jetstream.Msg, delivery *Delivery, timeout time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var problems []error
	for _, beat := range delivery.heartbeats() {
		problems = append(problems, beat(bounded))
	}
	if _, err := w.Conn.RequestWithContext(bounded, msg.Reply(), []byte(progress)); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
