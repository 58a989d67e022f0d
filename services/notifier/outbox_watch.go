package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	outboxCheckEvery   = 15 * time.Second
	outboxStalledAfter = 2 * time.Minute
	// rejectedClaim is the time after which another replica may send a claimed alert.
	rejectedClaim = 2 * time.Minute
	rejectedBatch = 200 // more than a few of one type are summarized, see summaries.go
)

// outboxWatch watches the outbox in Postgres. If NATS rejects messages, it raises outbox_stalled, and sends this and every
// other rejected alert by mail and webhook itself. It notes them under the message's id, so the same message is not sent
// again when the stream delivers it.
type outboxWatch struct {
	store    *store.Store
	notifier *notifier
	logger   *zap.Logger
}

func (w *outboxWatch) run(ctx context.Context) {
	ticker := time.NewTicker(outboxCheckEvery)
	defer ticker.Stop()
	database := &databaseWatch{notifier: w.notifier, logger: w.logger, now: time.Now}
	for {
		err := w.check(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.logger.Warn("check of the outbox failed; it will be retried", zap.Error(err))
		}
		database.check(ctx, err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *outboxWatch) check(ctx context.Context) error {
	checking, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	age, err := w.store.OutboxStalled(checking)
	if err != nil {
		return err
	}
	stalled := age >= outboxStalledAfter
	err = w.store.InTx(checking, func(ctx context.Context, tx *store.Tx) error {
		if stalled {
			return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, event.AlertOutboxStalled))
		}
		return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertOutboxStalled, "NATS accepts messages again.")
	})
	if err != nil || !stalled {
		return err
	}
	rejected, err := w.store.ClaimRefused(checking, bus.AlertSubjects, rejectedClaim, rejectedBatch)
	if err != nil {
		return err
	}
	for _, message := range rejected {
		delivery := &worker.Delivery{
			Subject: message.Subject, Data: message.Payload, Header: map[string][]string{bus.HeaderMsgID: {message.ID}},
			Stream: bus.StreamAlerts, Deliveries: 1, Published: message.CreatedAt,
		}
		if err := w.notifier.handleAlert(ctx, delivery); err != nil {
			w.logger.Warn("alert not sent without NATS; it will be retried", zap.String("message", message.ID), zap.Error(err))
		}
	}
	return nil
}
