package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/store/internal/db"
)

// Delivery is the outcome of publishing a message.
type Delivery int

const (
	// Delivered means that the stream has the message.
	Delivered Delivery = iota
	// Dropped means that the stream already has an equal message, and one is enough.
	Dropped
	// Busy means that a worker has the message of this subject in hand. The relay tries again soon.
	Busy
	// Failed means that the bus did not accept the message. The relay tries again later.
	Failed
)

// Publisher hands a batch to the bus and returns the outcome of each message, in order.
type Publisher interface {
	PublishBatch(ctx context.Context, messages []Message) []Delivery
}

// Bounds of the relay.
const (
	relayBatch     = 100
	relayBusyPause = 200 * time.Millisecond
	relayMinPause  = 500 * time.Millisecond
	relayMaxPause  = 15 * time.Second // operators expect a service to go on within half a minute
	publishTimeout = 5 * time.Second  // shorter than a transaction may idle
)

// RelayOutbox publishes up to one batch of due messages and returns how many it handled. Any number of relays may run: one of them
// has a row at a time.
func (s *Store) RelayOutbox(ctx context.Context, publisher Publisher) (handled int, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		rows, err := tx.queries.OutboxLockDue(ctx, tx.dbtx, relayBatch)
		if err != nil {
			return err
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
			return err
		}
	}
	if len(done) == 0 {
		return nil
	}
	return t.queries.OutboxDelete(ctx, t.dbtx, done)
}

// A relay looks this often for rows that other processes left, or that are due again. The pause doubles each time that it finds none. A
// commit of this process wakes the relay at once.
const (
	relayTick    = 250 * time.Millisecond
	relayLongest = 4 * time.Second
)

// Relay publishes the messages that transactions put into the outbox, at least once. Each process that writes runs one.
type Relay struct {
	Store     *Store
	Publisher Publisher
	Logger    *zap.Logger
	Tick      time.Duration // 0: a quarter of a second
}

// Run publishes until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	tick := r.Tick
	if tick == 0 {
		tick = relayTick
	}
	empty := 0 // times in a row that no row was due
	timer := time.NewTimer(tick)
	defer timer.Stop()
	failing := false
	for {
		handled, err := r.Store.RelayOutbox(ctx, r.Publisher)
		switch {
		case err == nil:
			failing = false
		case errors.Is(err, context.Canceled):
		case !failing: // logged once in an outage, not four times a second
			failing = true
			r.Logger.Warn("outbox is not being published", zap.Error(err))
		}
		if handled == relayBatch && err == nil {
			continue
		}
		empty++
		if handled > 0 { // more rows may come, or be due again
			empty = 0
		}
		timer.Reset(pauseAfter(empty, tick))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.Store.OutboxWoken():
			empty = 0
		}
	}
}

// pauseAfter returns how long a relay waits after it found no row so many times in a row.
func pauseAfter(empty int, tick time.Duration) time.Duration {
	return backoff.Delays{First: tick, Longest: max(tick, relayLongest)}.After(empty + 1)
}

// Flush publishes due messages once more, for a service that stops.
func (r *Relay) Flush(ctx context.Context) {
	if _, err := r.Store.RelayOutbox(ctx, r.Publisher); err != nil {
		r.Logger.Warn("outbox was not flushed; another relay publishes it", zap.Error(err))
	}
}

// OutboxWoken receives after a commit of this process that left messages.
func (s *Store) OutboxWoken() <-chan struct{} { return s.outbox }
