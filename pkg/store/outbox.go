package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/store/internal/db"
)

// Message is what a transaction owes the bus. Its ID is stable: published twice, the second is recognised
// within the stream's window.
type Message struct {
	Subject string
	ID      string
	Headers map[string]string
	Payload []byte
}

// Publish puts messages into the outbox. They are published at least once after the commit, in no promised
// order.
func (t *Tx) Publish(ctx context.Context, messages ...Message) error {
	if len(messages) == 0 {
		return nil
	}
	params := &db.OutboxInsertManyParams{}
	for _, message := range messages {
		headers := message.Headers
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
	if err := t.queries.OutboxInsertMany(ctx, t.dbtx, params); err != nil {
		return wrap("put into outbox", err)
	}
	t.owesMessages = true
	return nil
}

// Delivery is what became of a message that a relay published.
type Delivery int

const (
	// Delivered: the stream has it.
	Delivered Delivery = iota
	// Dropped: the stream holds an equal one already, and one is enough.
	Dropped
	// Busy: the subject holds one that is being worked; try again soon.
	Busy
	// Failed: the bus did not take it; try again later.
	Failed
)

// Publisher hands a batch to the bus and says for each message, in order, what became of it.
type Publisher interface {
	PublishBatch(ctx context.Context, messages []Message) []Delivery
}

// Bounds of the relay.
const (
	relayBatch     = 100
	relayBusyPause = 200 * time.Millisecond
	relayMinPause  = 500 * time.Millisecond
	relayMaxPause  = 15 * time.Second // people expect a service to go on within half a minute
	publishTimeout = 5 * time.Second  // below the time that a transaction may idle
)

// RelayOutbox publishes up to one batch of due messages and reports how many it looked at. Any number of
// relays may run: each row is with one of them at a time.
func (s *Store) RelayOutbox(ctx context.Context, publisher Publisher) (handled int, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		rows, err := tx.queries.OutboxLockDue(ctx, tx.dbtx, relayBatch)
		if err != nil {
			return wrap("read outbox", err)
		}
		if len(rows) == 0 {
			return nil
		}
		handled = len(rows)
		messages := make([]Message, 0, len(rows))
		for _, row := range rows {
			message := Message{Subject: row.Subject, ID: row.MsgID, Payload: row.Payload}
			if err := json.Unmarshal(row.Headers, &message.Headers); err != nil {
				return fmt.Errorf("decode headers of outbox row %d: %w", row.ID, err)
			}
			messages = append(messages, message)
		}
		bounded, cancel := context.WithTimeout(ctx, publishTimeout)
		deliveries := publisher.PublishBatch(bounded, messages)
		cancel()
		return tx.settleOutbox(ctx, rows, deliveries)
	})
	return handled, err
}

func (t *Tx) settleOutbox(ctx context.Context, rows []*db.OutboxLockDueRow, deliveries []Delivery) error {
	var done []int64
	for i, row := range rows {
		pause := relayBusyPause
		switch deliveries[i] {
		case Delivered, Dropped:
			done = append(done, row.ID)
			continue
		case Busy:
		case Failed:
			pause = backoff.Delays{First: relayMinPause, Longest: relayMaxPause}.After(int(row.Attempts) + 1)
		}
		if err := t.queries.OutboxDelay(ctx, t.dbtx, &db.OutboxDelayParams{ID: row.ID, Delay: pause, Refused: deliveries[i] == Failed}); err != nil {
			return wrap("delay outbox row", err)
		}
	}
	if len(done) == 0 {
		return nil
	}
	return wrap("clear outbox", t.queries.OutboxDelete(ctx, t.dbtx, done))
}

// OutboxWoken receives after a commit of this process that left messages.
func (s *Store) OutboxWoken() <-chan struct{} { return s.outbox }

// OutboxDepth is how many messages wait to be published.
func (c Conn) OutboxDepth(ctx context.Context) (int64, error) {
	depth, err := c.queries.OutboxDepth(ctx, c.dbtx)
	return depth, wrap("count outbox", err)
}
