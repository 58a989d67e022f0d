package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
)

const (
	settleTimeout = 5 * time.Second
	firstDelay    = time.Second
	// longestDelay is for failures, most of which are outages of ours: work goes on within 30 s of their end.
	longestDelay  = 20 * time.Second
	longestAsked  = 2 * time.Minute // for a time that the handler, or whoever stopped it, named
	handBackDelay = 100 * time.Millisecond
	shortestDelay = 100 * time.Millisecond // none at all would be a bare nak on the wire
)

// settle turns the handler's outcome into the message's. It has a context of its own: the work's may have
// ended, and a message that is not settled comes again only after the ack wait.
func (w *Worker) settle(work context.Context, msg jetstream.Msg, delivery *Delivery, outcome error, took time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), settleTimeout)
	defer cancel()
	log := w.Logger.With(zap.String("consumer", w.Name), zap.String("subject", delivery.Subject),
		zap.Uint64("sequence", delivery.Sequence), zap.Int("delivery", delivery.Deliveries))
	verb, err := w.verb(ctx, msg, delivery, outcome, log)
	w.Metrics.settled(w.Name, verb, took)
	if err != nil {
		log.Warn("message not settled; it comes again", zap.String("verb", verb), zap.Error(err))
	}
}

func (w *Worker) verb(ctx context.Context, msg jetstream.Msg, delivery *Delivery, outcome error, log *zap.Logger) (string, error) {
	var retry *retryError
	switch {
	case outcome == nil:
		return "done", msg.DoubleAck(ctx)
	case errors.Is(outcome, ErrSettled):
		return "settled", nil
	case errors.Is(outcome, ErrHeartbeatLost):
		// Nothing is sent: it would take the message from the worker that has it now, if another one has.
		log.Warn("message left to whoever gets it after the ack wait", zap.Error(outcome))
		return "lost", nil
	case errors.As(outcome, &retry):
		log.Debug("message comes again", zap.Duration("after", retry.after), zap.Error(outcome))
		return "retry", msg.NakWithDelay(min(max(retry.after, shortestDelay), longestAsked))
	case fault.KindOf(outcome) == fault.KindPermanent:
		// The letter first: a crash between the two brings the message again, and the letter is idempotent.
		if err := w.Letters.OpenMessage(ctx, delivery, outcome); err != nil {
			return "letter", errors.Join(fmt.Errorf("open letter: %w", err), msg.NakWithDelay(delayAfter(delivery.Deliveries)))
		}
		log.Warn("message became a dead letter", zap.String("code", fault.CodeOf(outcome)), zap.Error(outcome))
		return "letter", msg.DoubleAck(ctx)
	case errors.Is(outcome, ErrStopping):
		log.Info("message handed back: the service stops")
		return "handed_back", msg.NakWithDelay(handBackDelay)
	default:
		delay := delayAfter(delivery.Deliveries)
		if after, ok := fault.After(outcome); ok {
			delay = min(max(after, shortestDelay), longestAsked)
		}
		log.Warn("message failed; it comes again", zap.Duration("after", delay), zap.Error(outcome))
		return "failed", msg.NakWithDelay(delay)
	}
}

func (w *Worker) handBack(msg jetstream.Msg) {
	if err := msg.NakWithDelay(handBackDelay); err != nil {
		w.Logger.Warn("message not handed back; it comes again after the ack wait", zap.String("consumer", w.Name), zap.Error(err))
	}
	w.Metrics.settled(w.Name, "handed_back", 0)
}

func delayAfter(deliveries int) time.Duration {
	return backoff.Delays{First: firstDelay, Longest: longestDelay, Jitter: 0.5}.After(deliveries)
}
