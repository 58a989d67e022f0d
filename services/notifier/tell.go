package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// Kinds of notices, which are the names of the mails, too.
const (
	kindAlertRaised       = "alert_raised"
	kindAlertCleared      = "alert_cleared"
	kindTokenInvalid      = "vomo_token_invalid" //nolint:gosec // the kind of a mail, not a credential
	kindBackfillScheduled = "backfill_scheduled"
	kindBackfillCompleted = "backfill_completed"
	kindTest              = "test"
	kindAlertSummary      = "alert_summary"
)

// Channels; that of an operator's mail has a digest of the address behind it.
const (
	channelWebhook   = "webhook"
	channelOperators = "mail_operators"
	channelCustomer  = "mail_customer"
)

// notice is one message on one channel.
type notice struct {
	kind    string
	channel string // notifications.channel
	way     string // the channel without what is one recipient's, for logs and metrics
	// send tells it. A permanent fault says that it will never be taken, a throttled one when to come back; anything
	// else is tried again.
	send func(ctx context.Context) error
}

// skipped is a notice that needs not be sent.
type skipped struct{ code string }

// Error is the reason.
func (s *skipped) Error() string { return s.code }

// heldError is of a notice that is not to be sent yet.
type heldError struct{ left time.Duration }

// Error says for how long.
func (e *heldError) Error() string {
	return "not to be sent for another " + e.left.Round(time.Second).String()
}

// teller sends notices. A channel that was told is noted after it was sent, and is not told again: at least once, and
// once more only where a crash came in between, with the same Message-ID or webhook-id.
type teller struct {
	store   *store.Store
	logger  *zap.Logger
	metrics *metrics
}

// tell sends what is not noted yet, all beside each other, so that a channel that hangs holds up no other. Its error
// is a worker's: the message comes again for the channels that are left.
func (t *teller) tell(ctx context.Context, messageID string, deliveries int, notices []notice) error {
	if len(notices) == 0 {
		return nil
	}
	told, err := t.store.Told(ctx, messageID)
	if err != nil {
		return err
	}
	errs := make([]error, len(notices))
	var sending sync.WaitGroup
	for i, notice := range notices {
		if slices.Contains(told, notice.channel) {
			continue
		}
		sending.Go(func() { errs[i] = t.tellOne(ctx, messageID, notice) })
	}
	sending.Wait()
	return again(errs, deliveries)
}

// tellOne sends a notice and notes what became of it; an error asks for another attempt.
func (t *teller) tellOne(ctx context.Context, messageID string, notice notice) error {
	err := notice.send(ctx)
	note := store.Notification{MessageID: messageID, Channel: notice.channel, Outcome: store.NotificationSent}
	log := t.logger.With(zap.String("message", messageID), zap.String("channel", notice.way), zap.String("kind", notice.kind))
	var skip *skipped
	var closed *closedError
	var held *heldError
	switch {
	case err == nil:
		log.Info("told")
	case errors.As(err, &skip):
		note.Outcome, note.Code = store.NotificationSkipped, skip.code
		log.Info("not told", zap.String("reason", skip.code))
	case fault.KindOf(err) == fault.KindPermanent:
		note.Outcome, note.Code = store.NotificationFailed, fault.CodeOf(err)
		log.Error("not told: refused for good", zap.String("code", note.Code), zap.Error(err))
	case errors.As(err, &held):
		return err // it comes again when its time has come
	case errors.As(err, &closed):
		return err // told of when it was closed
	default:
		t.metrics.count(notice, "retried")
		log.Warn("not told yet; it is tried again", zap.String("code", fault.CodeOf(err)), zap.Error(err))
		return err
	}
	t.metrics.count(notice, note.Outcome)
	// The context may have ended while the other side took it: what was sent is noted all the same.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	return t.store.NoteTold(noting, note)
}

const (
	noteTimeout  = 5 * time.Second
	firstAgain   = 2 * time.Second
	longestAgain = 2 * time.Minute
)

// again asks for the message once more when the first of the channels that are left may be tried.
func again(errs []error, deliveries int) error {
	var after time.Duration
	for _, err := range errs {
		if err == nil {
			continue
		}
		wait := backoff.Delays{First: firstAgain, Longest: longestAgain}.After(deliveries)
		if held, ok := errors.AsType[*heldError](err); ok {
			wait = held.left
		} else if named, ok := fault.After(err); ok {
			wait = named
		} else if closed, ok := errors.AsType[*closedError](err); ok {
			wait = closed.opens
		}
		if after == 0 || wait < after {
			after = wait
		}
	}
	if after == 0 {
		return nil
	}
	after = min(max(after, time.Second), longestAgain-jitter)
	return worker.Retry(after+rand.N(jitter), errors.Join(errs...)) //nolint:gosec // jitter, not a secret
}

// jitter keeps thousands that wait for one mail server from coming back in the same moment.
const jitter = 2 * time.Second
