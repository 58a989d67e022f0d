package worker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// inProgress is JetStream's payload of an acknowledgement that says that the work goes on.
const inProgress = "+WPI"

// heartbeat tells the server that one delivery is being worked on.
type heartbeat struct {
	ackWait   time.Duration
	confirmed atomic.Pointer[time.Time] // when the last confirmed beat was sent
	stopped   chan struct{}             // closed when no beat is under way any more
}

// sinceConfirmed returns the time since the last confirmed beat was sent.
func (h *heartbeat) sinceConfirmed() time.Duration { return time.Since(*h.confirmed.Load()) }

// isOverdue returns whether another worker may have the message. The server would confirm the next beat even after the process
// was suspended for longer than the ack wait, so the worker compares the times itself. The server counts from its own times,
// which are earlier than ours: a sixth of the ack wait is the margin.
func (h *heartbeat) isOverdue() bool { return h.sinceConfirmed() > 5*h.ackWait/6 }

// startHeartbeat sends a beat at every third of the ack wait. It cancels the work if the server has not confirmed a beat for
// two thirds of the ack wait, because another worker may get the message after that.
func (w *Worker) startHeartbeat(ctx context.Context, cancel context.CancelCauseFunc, msg jetstream.Msg, sequence uint64) *heartbeat {
	ackWait := w.Consumer.CachedInfo().Config.AckWait
	beating := &heartbeat{ackWait: ackWait, stopped: make(chan struct{})}
	started := time.Now()
	beating.confirmed.Store(&started)
	go func() {
		defer close(beating.stopped)
		ticker := time.NewTicker(ackWait / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if time.Since(started) > withDefault(w.Ceiling, defaultCeiling) {
				cancel(ErrTooLong)
				return
			}
			if beating.isOverdue() {
				cancel(ErrHeartbeatLost)
				return
			}
			asked := time.Now()
			if err := w.beat(ctx, msg, ackWait/6); err == nil {
				beating.confirmed.Store(&asked)
			} else if ctx.Err() == nil {
				w.Logger.Warn("heartbeat not confirmed", zap.String("consumer", w.Name), zap.Uint64("sequence", sequence), zap.Error(err))
			}
			if beating.sinceConfirmed() > 2*ackWait/3 {
				cancel(ErrHeartbeatLost)
				return
			}
		}
	}()
	return beating
}

// beat asks the server to confirm the progress. InProgress of the library is not confirmed, and seems to be sent while the
// connection is down, because it is buffered.
func (w *Worker) beat(ctx context.Context, msg jetstream.Msg, timeout time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := w.Conn.RequestWithContext(bounded, msg.Reply(), []byte(inProgress))
	return err
}
