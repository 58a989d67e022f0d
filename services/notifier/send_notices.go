package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// Kinds of notices. They are also the names of the mail templates.
const (
	kindAlertRaised       = "alert_raised"
	kindAlertCleared      = "alert_cleared"
	kindTokenInvalid      = "vomo_token_invalid" //nolint:gosec // the kind of a mail, not a credential
	kindKeyInvalid        = "virtuous_key_invalid"
	kindVirtuousSetUp     = "virtuous_set_up"
	kindGivingReport      = "giving_report"
	kindBackfillScheduled = "backfill_scheduled"
	kindBackfillCompleted = "backfill_completed"
	kindTest              = "test"
	kindAlertSummary      = "alert_summary"
)

// Channel types. An operator's mail channel is its type and a digest of the address. A second mail to a customer's admin about one event has
// a channel with its kind.
const (
	channelWebhook   = "webhook"
	channelOperators = "mail_operators"
	channelCustomer  = "mail_customer"
)

// notice is one message on one channel.
type notice struct {
	kind        string
	channel     string // notifications.channel
	channelType string // the channel without the recipient, for logs and metrics
	// send sends the notice. A permanent fault says that the channel will never accept it, a throttled one says when to try
	// again. Every other error is retried.
	send func(ctx context.Context) error
}

// skipCleared is the code of a notice that is skipped because its alert was cleared. It is stored in notifications.
const skipCleared = "over"

// skipError says that a notice need not be sent.
type skipError struct{ code string }

// Error returns the reason.
func (s *skipError) Error() string { return s.code }

// heldError says that a notice is held: it must not be sent yet.
type heldError struct{ left time.Duration }

// Error says for how long the notice is held.
func (e *heldError) Error() string {
	return "notice held for another " + e.left.Round(time.Second).String()
}

// sender sends notices at least once. It notes each sent notice by message and channel, and does not send it again. After a
// crash between sending and noting, the notice is sent once more, with the same Message-ID or webhook-id.
type sender struct {
	store   *store.Store
	logger  *zap.Logger
	metrics *metrics
}

// sendAll sends the notices that are not noted as sent, all at the same time, so that a channel that hangs delays no other.
// Its error asks the worker to deliver the message again, for the channels that are left.
func (s *sender) sendAll(ctx context.Context, messageID string, deliveries int, notices []notice) error {
	if len(notices) == 0 {
		return nil
	}
	notified, err := s.store.NotifiedChannels(ctx, messageID)
	if err != nil {
		return err
	}
	errs := make([]error, len(notices))
	var sending sync.WaitGroup
	for i, notice := range notices {
		if slices.Contains(notified, notice.channel) {
			continue
		}
		sending.Go(func() { errs[i] = s.sendOne(ctx, messageID, notice) })
	}
	sending.Wait()
	return retryError(errs, deliveries)
}

// sendOne sends a notice and notes the outcome. An error asks for another attempt.
func (s *sender) sendOne(ctx context.Context, messageID string, notice notice) error {
	err := notice.send(ctx)
	note := store.Notification{MessageID: messageID, Channel: notice.channel, Outcome: store.NotificationSent}
	log := s.logger.With(zap.String("message", messageID), zap.String("channel", notice.channelType), zap.String("kind", notice.kind))
	var skip *skipError
	var closed *channelClosedError
	var held *heldError
	switch {
	case err == nil:
		log.Info("notice sent")
	case errors.As(err, &skip):
		note.Outcome, note.Code = store.NotificationSkipped, skip.code
		log.Info("notice skipped", zap.String("reason", skip.code))
	case fault.KindOf(err) == fault.KindPermanent:
		note.Outcome, note.Code = store.NotificationFailed, fault.CodeOf(err)
		log.Error("notice rejected permanently", zap.String("code", note.Code), zap.Error(err))
	case errors.As(err, &held):
		return err // the message is delivered again when its time has come
	case errors.As(err, &closed):
		return err // logged when the channel was closed
	default:
		s.metrics.count(notice, "retried")
		log.Warn("notice not sent; it will be retried", zap.String("code", fault.CodeOf(err)), zap.Error(err))
		return err
	}
	s.metrics.count(notice, note.Outcome)
	// The context may have ended after the other side accepted the notice: the outcome is noted in any case.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	return s.store.NoteNotification(noting, note)
}

const (
	noteTimeout  = 5 * time.Second
	firstRetry   = 2 * time.Second
	longestRetry = 2 * time.Minute
)

// retryError asks the worker to deliver the message again when the first of the failed channels may be tried.
func retryError(errs []error, deliveries int) error {
	var after time.Duration
	for _, err := range errs {
		if err == nil {
			continue
		}
		wait := backoff.Delays{First: firstRetry, Longest: longestRetry}.After(deliveries)
		if held, ok := errors.AsType[*heldError](err); ok {
			wait = held.left
		} else if named, ok := fault.After(err); ok {
			wait = named
		} else if closed, ok := errors.AsType[*channelClosedError](err); ok {
			wait = closed.opensAfter
		}
		if after == 0 || wait < after {
			after = wait
		}
	}
	if after == 0 {
		return nil
	}
	after = min(max(after, time.Second), longestRetry-retryJitter)
	return worker.Retry(after+rand.N(retryJitter), errors.Join(errs...)) //nolint:gosec // jitter, not a secret
}

// retryJitter spreads the retries of thousands of messages that wait for one mail server.
const retryJitter = 2 * time.Second

// metrics counts notices, without names of people. A nil *metrics counts nothing.
type metrics struct{ notices *prometheus.CounterVec }

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{notices: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_notifications_total",
		Help: "Attempts to send notifications, by channel, kind and outcome: sent, failed (rejected permanently), skipped (no recipient, or cleared), retried.",
	}, []string{"channel", "kind", "outcome"})}
	registry.MustRegister(m.notices)
	return m
}

func (m *metrics) count(notice notice, outcome string) {
	if m != nil {
		m.notices.WithLabelValues(notice.channelType, notice.kind, outcome).Inc()
	}
}
