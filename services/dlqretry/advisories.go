package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	operationByHand = "dlq_settled_by_hand"
	codeDeliveries  = "too_many_deliveries"
	// clockSkew is how far the servers of a cluster may disagree: an operator's ack may follow at once.
	clockSkew = 5 * time.Second
)

// advisories reads what the server tells: that a message ran out of deliveries, and that an operator acked a letter.
type advisories struct {
	store   *store.Store
	js      jetstream.JetStream
	letters *deadletter.Opener
	logger  *zap.Logger
	changed func() // letters changed: the stream is behind
}

// advisory is what the two have in common.
type advisory struct {
	Stream     string    `json:"stream"`
	Consumer   string    `json:"consumer"`
	Sequence   uint64    `json:"stream_seq"`
	Deliveries int       `json:"deliveries"`
	Timestamp  time.Time `json:"timestamp"`
}

// handle never gives a permanent fault: what the server tells is no message of ours.
func (a *advisories) handle(ctx context.Context, delivery *worker.Delivery) error {
	log := a.logger.With(zap.String("subject", delivery.Subject), zap.Uint64("sequence", delivery.Sequence))
	var told advisory
	if err := json.Unmarshal(delivery.Data, &told); err != nil {
		log.Warn("what the server told is no JSON", zap.Error(err))
		return nil
	}
	if told.Stream == "" || told.Sequence == 0 {
		log.Warn("what the server told names no message")
		return nil
	}
	log = log.With(zap.String("of_stream", told.Stream), zap.Uint64("of_sequence", told.Sequence))
	switch {
	case bus.IsAckSample(delivery.Subject):
		return a.acked(ctx, told, delivery.Published, log)
	case bus.IsMaxDeliveries(delivery.Subject) && told.Stream != bus.StreamDLQ && bus.IsOwnDurable(told.Stream, told.Consumer):
		return a.exhausted(ctx, told, delivery.Published, log)
	}
	return nil
}

// message is the message that an advisory is about; ok is false where it is gone. Sequences start again in a stream
// that was made anew: a message that is younger than what the server told of it is another one.
func (a *advisories) message(ctx context.Context, told advisory, at time.Time) (stream jetstream.Stream, message *jetstream.RawStreamMsg, ok bool, err error) {
	stream, err = a.js.Stream(ctx, told.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("look up stream: %w", err)
	}
	message, err = stream.GetMsg(ctx, told.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("read message: %w", err)
	}
	return stream, message, !message.Time.After(at.Add(clockSkew)), nil
}

// exhausted makes a letter of a message that nobody will get any more, with its payload, and takes the message out of
// the way: its subject may take one at a time. A letter is durable before its message goes.
func (a *advisories) exhausted(ctx context.Context, told advisory, at time.Time, log *zap.Logger) error {
	stream, message, there, err := a.message(ctx, told, at)
	if err != nil || !there {
		return err
	}
	letters := *a.letters
	letters.Job = told.Consumer
	err = letters.OpenStored(ctx, deadletter.Stored{
		Stream: told.Stream, Created: bus.CreatedOf(stream), Sequence: told.Sequence, Subject: message.Subject, Data: message.Data,
		Header: message.Header, Deliveries: told.Deliveries,
	}, fault.Permanent(codeDeliveries, errors.New("delivered too often without an outcome")))
	if err != nil {
		return fmt.Errorf("open letter: %w", err)
	}
	log.Warn("message became a dead letter: it ran out of deliveries", zap.String("consumer", told.Consumer))
	a.changed()
	switch {
	case told.Stream == bus.StreamOnboarding: // it may hold a token
		err := bus.Erase(ctx, stream, told.Sequence)
		if errors.Is(err, bus.ErrNotErasable) {
			log.Error("message not erased", zap.Error(err))
			return a.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
				return event.Raise(ctx, tx, event.AlertFor(letterCustomer(message.Subject), event.AlertMessageNotErased))
			})
		}
		return err
	case stream.CachedInfo().Config.Retention == jetstream.WorkQueuePolicy:
		return bus.Delete(ctx, stream, told.Sequence)
	}
	return nil // others read the stream, and nobody waits behind it there
}

// letterCustomer is the customer of a message's letter.
func letterCustomer(subject string) string {
	if customer := bus.CustomerOf(subject); rollcallv1.ValidCustomerID(customer) {
		return customer
	}
	return rollcallv1.UnknownCustomer
}

// acked settles the letter that an operator acked through dlq-review, where that is how it is shown now.
func (a *advisories) acked(ctx context.Context, told advisory, at time.Time, log *zap.Logger) error {
	stream, message, there, err := a.message(ctx, told, at)
	if err != nil {
		return err
	}
	if !there {
		log.Info("an operator acked what a letter is no longer shown as: nothing was settled")
		return nil
	}
	id, err := uuid.Parse(message.Header.Get(bus.HeaderLetterID))
	if err != nil {
		log.Warn("an operator acked what names no letter: nothing was settled")
		return nil //nolint:nilerr // it would name none the next time either
	}
	log = log.With(zap.Stringer("letter", id))
	shown := store.ShownAs{Sequence: told.Sequence, Stream: bus.CreatedOf(stream)}
	settled := false
	err = a.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, id) // waits where it is just being shown
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if !isShownAt(letter, shown) || letter.Shown.Revision != letter.Revision {
			return nil
		}
		settled = true
		if err := tx.SettleLetter(ctx, letter, store.SettledByHand, operationByHand); err != nil {
			return err
		}
		return deadletter.ClearOnboarding(ctx, tx, letter.Customer)
	})
	switch {
	case err != nil:
		return err
	case settled:
		log.Info("letter settled by hand: an operator acked it")
		a.changed()
	default:
		log.Info("an operator acked what a letter is no longer shown as: nothing was settled")
	}
	return nil
}
