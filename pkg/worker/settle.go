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
	// longestDelay is for failures. Most are outages of our own systems, and work continues within 30 s of their end.
	longestDelay      = 20 * time.Second
	maxRequestedDelay = 2 * time.Minute // for a delay that the handler's error names
	handBackDelay     = 100 * time.Millisecond
	shortestDelay     = 100 * time.Millisecond // a delay of zero would be sent as a bare nak
)

// settle settles the message by the handler's outcome. It has its own context, because the work's may have ended, and a
// message that is not settled is delivered again only after the ack wait.
func (w *Worker) settle(work context.Context, msg jetstream.Msg, delivery *Delivery, outcome error, took time.Duration,
	trace []zap.Field,
) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), settleTimeout)
	defer cancel()
	log := w.Logger.WithLazy(zap.String("consumer", w.Name), zap.String("subject", delivery.Subject),
		zap.Uint64("sequence", delivery.Sequence), zap.Int("delivery", delivery.Deliveries)).WithLazy(trace...)
	outcomeName, err := w.settleOutcome(ctx, msg, delivery, outcome, log)
	w.Metrics.settled(w.Name, outcomeName, took)
	if err != nil {
		log.Warn("message not settled; it will be delivered again", zap.String("outcome", outcomeName), zap.Error(err))
	}
}

func (w *Worker) settleOutcome(ctx context.Context, msg jetstream.Msg, delivery *Delivery, outcome error, log *zap.Logger) (string, error) {
	var retry *retryError
	switch {
	case outcome == nil:
		return "done", msg.DoubleAck(ctx)
	case errors.Is(outcome, ErrSettled):
		return "settled", nil
	case errors.Is(outcome, ErrHeartbeatLost):
		// Nothing is sent: an acknowledgement or nak would also count for another worker that may have the message by now.
		log.Warn("message not settled: another worker may have it", zap.Error(outcome))
		return "lost", nil
	case errors.As(outcome, &retry):
		log.Debug("message delayed", zap.Duration("after", retry.after), zap.Error(outcome))
		return "retry", msg.NakWithDelay(min(max(retry.after, shortestDelay), maxRequestedDelay))
	case fault.KindOf(outcome) == fault.KindPermanent:
		// The letter comes first: after a crash in between, the message is delivered again, and the letter is idempotent.
		if err := w.Letters.OpenMessage(ctx, delivery, outcome); err != nil {
			return "letter", errors.Join(fmt.Errorf("open letter: %w", err), msg.NakWithDelay(delayAfter(delivery.Deliveries)))
		}
		log.Warn("message became a dead letter", zap.String("code", fault.CodeOf(outcome)), zap.Error(outcome))
		return "letter", msg.DoubleAck(ctx)
	case errors.Is(outcome, ErrStopping):
		log.Info("message handed back: the service is stopping")
		return "handed_back", msg.NakWithDelay(handBackDelay)
	default:
		delay := delayAfter(delivery.Deliveries)
		if after, ok := fault.After(outcome); ok {
			delay = min(max(after, shortestDelay), maxRequestedDelay)
		}
		log.Warn("message failed; it will be delivered again", zap.Duration("after", delay), zap.Error(outcome))
		return "failed", msg.NakWithDelay(delay)
	}
}

// failureOf returns what a span says of an outcome: nil for one that is no failure.
func failureOf(outcome error) error {
	if _, retry := errors.AsType[*retryError](outcome); retry || errors.Is(outcome, ErrSettled) {
		return nil
	}
	return outcome
}

func (w *Worker) handBack(msg jetstream.Msg) {
	if err := msg.NakWithDelay(handBackDelay); err != nil {
		w.Logger.Warn("message not handed back; it will be delivered again after the ack wait", zap.String("consumer", w.Name), zap.Error(err))
	}
	w.Metrics.settled(w.Name, "handed_back", 0)
}

func delayAfter(deliveries int) time.Duration {
	return backoff.Delays{First: firstDelay, Longest: longestDelay, Jitter: 0.5}.After(deliveries)
}
