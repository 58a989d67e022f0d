package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	// maxMessage is the longest message that is published. A part that is longer, which is a single record, goes into the inbox.
	maxMessage = 128 << 10
	// maxPart is the longest part that fits into such a message, sealed, in base64 and with the other fields.
	maxPart = 94 << 10
	// publishAtOnce bounds how many messages wait for their acknowledgement.
	publishAtOnce = 64
)

var errNotConnected = errors.New("NATS is not connected")

// nameOf returns an event as the inbox has it, such as gift_create.
func nameOf(of virtuous.Event) string {
	switch of {
	case virtuous.GiftCreate:
		return "gift_create"
	case virtuous.GiftUpdate:
		return "gift_update"
	case virtuous.GiftDelete:
		return "gift_delete"
	case virtuous.ContactCreate:
		return "contact_create"
	case virtuous.ContactUpdate:
		return "contact_update"
	case virtuous.OtherEvent:
	}
	return "other"
}

// keep makes all parts of a delivery durable, and returns how many there are. What a failed call left behind is recognised when
// the sender repeats the delivery.
func (r *receiver) keep(ctx context.Context, customer string, keys *customerKeys, delivery virtuous.Delivery, receivedAt time.Time) (int, error) {
	parts := delivery.Split(maxPart)
	if len(parts) == 0 {
		return 0, nil
	}
	if !r.isConnected() { // a message would wait in the client
		return 0, errNotConnected
	}
	traceID := telemetry.TraceParent(ctx)
	var batch []bus.Outgoing
	for _, split := range parts {
		part, err := inbox.Part{
			Customer: customer, Event: nameOf(delivery.Event), Records: split.Entries, Body: split.Body, ReceivedAt: receivedAt, TraceID: traceID,
		}.Message(keys.parts)
		if err != nil {
			return 0, err
		}
		payload, err := rollcallv1.Encode(part)
		if err != nil {
			return 0, fmt.Errorf("encode a part: %w", err)
		}
		if len(payload) > maxMessage {
			if _, err := inbox.Add(ctx, r.store.Conn, part); err != nil { // no message can hold it
				return 0, err
			}
			continue
		}
		batch = append(batch, bus.Outgoing{
			Subject: bus.SubjectWebhooks(customer), ID: "webhook-" + hex.EncodeToString(part.GetDigest()), Payload: payload,
			Headers: map[string]string{bus.HeaderContentType: "application/json", bus.HeaderTraceParent: traceID},
		})
		if len(batch) == publishAtOnce {
			if err := errors.Join(r.publish(ctx, batch)...); err != nil {
				return 0, fmt.Errorf("publish parts: %w", err)
			}
			batch = nil
		}
	}
	if err := errors.Join(r.publish(ctx, batch)...); err != nil {
		return 0, fmt.Errorf("publish parts: %w", err)
	}
	return len(parts), nil
}

// openLetter opens a letter with a body that is no delivery.
func (r *receiver) openLetter(ctx context.Context, part *rollcallv1.WebhookPart) error {
	letter, err := inbox.UnreadableLetter(ctx, r.keys.vault, part)
	if err != nil {
		return err
	}
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.AddMessageLetter(ctx, letter)
		return err
	})
}
