package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// OutboxStalled returns for how long the oldest message has been refused by the bus, or has been due without a relay that
// publishes it. A message whose subject is busy waits for its turn and does not count.
func (c Conn) OutboxStalled(ctx context.Context) (time.Duration, error) {
	seconds, err := c.queries.OutboxStalledSeconds(ctx, c.dbtx)
	return time.Duration(seconds * float64(time.Second)), wrap("look for the oldest refused message", err)
}

// RefusedMessage is a message of the outbox that the bus refuses.
type RefusedMessage struct {
	Message

	CreatedAt time.Time
}

// ClaimRefused returns up to atMost refused messages whose subjects begin with prefix, for the caller to send in another
// way. Nobody else gets them before again has passed; they stay in the outbox.
func (c Conn) ClaimRefused(ctx context.Context, prefix string, again time.Duration, atMost int32) ([]RefusedMessage, error) {
	rows, err := c.queries.OutboxClaimRefused(ctx, c.dbtx, &db.OutboxClaimRefusedParams{Prefix: prefix, Again: again, AtMost: atMost})
	if err != nil {
		return nil, wrap("claim refused messages", err)
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
