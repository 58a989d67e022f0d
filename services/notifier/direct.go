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
	directEvery    = 15 * time.Second
	outboxPatience = 2 * time.Minute
	// directAgain is when an alert that was claimed is tried again, by any replica.
	directAgain  = 2 * time.Minute
	directAtOnce = 200 // more than a few of one type are gathered, see gather.go
)

// direct watches the outbox in Postgres. If NATS refuses messages, it raises outbox_stalled, and sends that and every other
// alert that is refused by mail and webhook itself. What it sent is noted under the message's id, so that the same
// message is not sent again when the stream brings it.
type direct struct {
	store  *store.Store
	told   *notifier
	logger *zap.Logger
}

func (d *direct) run(ctx context.Context) {
	ticker := time.NewTicker(directEvery)
	defer ticker.Stop()
	database := &databaseWatch{told: d.told, logger: d.logger, now: time.Now}
	for {
		err := d.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.logger.Warn("the outbox was not looked at; it is tried again", zap.Error(err))
		}
		database.look(ctx, err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (d *direct) look(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	age, err := d.store.OutboxStalled(asking)
	if err != nil {
		return err
	}
	stalled := age >= outboxPatience
	err = d.store.InTx(asking, func(ctx context.Context, tx *store.Tx) error {
		if stalled {
			return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, event.AlertOutboxStalled))
		}
		return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertOutboxStalled, "NATS takes messages again.")
	})
	if err != nil || !stalled {
		return err
	}
	refused, err := d.store.ClaimRefused(asking, bus.AlertSubjects, directAgain, directAtOnce)
	if err != nil {
		return err
	}
	for _, message := range refused {
		delivery := &worker.Delivery{
			Subject: message.Subject, Data: message.Payload, Header: map[string][]string{bus.HeaderMsgID: {message.ID}},
			Stream: bus.StreamAlerts, Deliveries: 1, Published: message.CreatedAt,
		}
		if err := d.told.alert(ctx, delivery); err != nil {
			d.logger.Warn("alert not sent past NATS; it is tried again", zap.String("message", message.ID), zap.Error(err))
		}
	}
	return nil
}
