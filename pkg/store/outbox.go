package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store/internal/db"
	"rollcall.dev/pkg/telemetry"
)

// Message is a message that a transaction owes the bus. Its ID is stable: if it is published twice, the stream recognises the second
// within its window for duplicates.
type Message struct {
	Subject string
	ID      string
	Headers map[string]string
	Payload []byte
}

// Publish puts messages into the outbox. A relay publishes them at least once after the commit, in no promised order.
func (t *Tx) Publish(ctx context.Context, messages ...Message) error {
	if len(messages) == 0 {
		return nil
	}
	params := &db.OutboxInsertManyParams{}
	for _, message := range messages {
		headers := telemetry.InjectMissing(ctx, message.Headers)
		if headers == nil {
			headers = map[string]string{}
		}
		encoded, err := json.Marshal(headers)
		if err != nil {
			return fmt.Errorf("encode headers of %s: %w", message.Subject, err)
		}
		params.Subjects = append(params.Subjects, message.Subject)
		params.MsgIds = append(params.MsgIds, message.ID)
		params.Headers = append(params.Headers, encoded)
		params.Payloads = append(params.Payloads, message.Payload)
	}
	t.owesMessages = true
	return t.deferred(func(on db.DBTX) error { return t.queries.OutboxInsertMany(ctx, on, params) })
}

// RefusedMessage is a message of the outbox that the bus rejects.
type RefusedMessage struct {
	Message

	CreatedAt time.Time
}

// ClaimRefused returns up to atMost rejected messages whose subjects begin with prefix, for the caller to send in another way. No
// other caller gets them before again has passed. They stay in the outbox.
func (c Conn) ClaimRefused(ctx context.Context, prefix string, again time.Duration, atMost int32) ([]RefusedMessage, error) {
	rows, err := c.queries.OutboxClaimRefused(ctx, c.dbtx, &db.OutboxClaimRefusedParams{Prefix: prefix, Again: again, AtMost: atMost})
	if err != nil {
		return nil, err
	}
	messages := make([]RefusedMessage, 0, len(rows))
	for _, row := range rows {
		message := RefusedMessage{Message: Message{Subject: row.Subject, ID: row.MsgID, Payload: row.Payload}, CreatedAt: row.CreatedAt}
		if err := json.Unmarshal(row.Headers, &message.Headers); err != nil {
			return nil, fmt.Errorf("decode headers of outbox row %d: %w", row.ID, err)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

// ForgetEvents deletes events that wait longer than age for the bus, among the atMost oldest messages, and returns how many it
// deleted. Requests and alerts stay.
func (c Conn) ForgetEvents(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.OutboxForgetEvents(ctx, c.dbtx, &db.OutboxForgetEventsParams{OlderThan: age, AtMost: atMost})
}
