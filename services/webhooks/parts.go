package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
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

// newPart seals a part of a delivery.
func newPart(
	customer string, keys *customerKeys, name string, records int, body []byte, receivedAt time.Time, traceID string,
) (*rollcallv1.WebhookPart, error) {
	sealed, err := keys.seal(body)
	if err != nil {
		return nil, fmt.Errorf("seal a part: %w", err)
	}
	return &rollcallv1.WebhookPart{
		CustomerId: customer, Event: name, Records: int32(records), ReceivedAt: timestamppb.New(receivedAt), Sealed: sealed, //nolint:gosec // bounded by the body
		Digest: inbox.Digest(keys.hash, body), TraceId: traceID,
	}, nil
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
	traceID := event.NewTraceID()
	var batch []bus.Outgoing
	for _, split := range parts {
		part, err := newPart(customer, keys, nameOf(delivery.Event), split.Entries, split.Body, receivedAt, traceID)
		if err != nil {
			return 0, err
		}
		payload, err := rollcallv1.Encode(part)
		if err != nil {
			return 0, fmt.Errorf("encode a part: %w", err)
		}
		if len(payload) > maxMessage {
			if err := r.keepInInbox(ctx, part); err != nil {
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

// keepInInbox stores a part that no message can hold.
func (r *receiver) keepInInbox(ctx context.Context, part *rollcallv1.WebhookPart) error {
	_, err := r.store.AddInboxPart(ctx, part.GetCustomerId(), store.InboxPart{
		Digest: part.GetDigest(), Event: part.GetEvent(), Records: int(part.GetRecords()), Sealed: part.GetSealed(), TraceID: part.GetTraceId(),
		ReceivedAt: part.GetReceivedAt().AsTime(),
	})
	return err
}

// openLetter opens a letter with a part. The same part opens one letter.
func (r *receiver) openLetter(ctx context.Context, part *rollcallv1.WebhookPart) error {
	payload, err := rollcallv1.Encode(part)
	if err != nil {
		return fmt.Errorf("encode a part: %w", err)
	}
	customer := part.GetCustomerId()
	sealed, err := r.keys.vault.Seal(ctx, customer, messageletter.PurposePayload, payload)
	if err != nil {
		return fmt.Errorf("seal a letter: %w", err)
	}
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.AddMessageLetter(ctx, store.MessageLetter{
			ID: uuid.New(), Customer: customer, PayloadSealed: sealed, Subject: bus.SubjectWebhooks(customer),
			Origin: "webhook/" + customer + "/" + hex.EncodeToString(part.GetDigest()), Job: "webhooks", ErrorCode: "webhook_unreadable",
			Reason: "the delivery is signed, but is not JSON in a form that deliveries have", Attempts: 1,
		})
		return err
	})
}
