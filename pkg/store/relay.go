package store

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
)

// How often a relay looks for rows that others left, or that are due again: each time that it finds none, the pause
// doubles. What this process commits wakes it at once.
const (
	relayTick    = 250 * time.Millisecond
	relayLongest = 4 * time.Second
)

// Relay publishes what transactions put into the outbox, at least once, until ctx ends. Every writer runs one.
type Relay struct {
	Store     *Store
	Publisher Publisher
	Logger    *zap.Logger
	Tick      time.Duration // 0: a quarter of a second
}

// Run works until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	tick := r.Tick
	if tick == 0 {
		tick = relayTick
	}
	empty := 0 // looks in a row that found nothing
	timer := time.NewTimer(tick)
	defer timer.Stop()
	failing := false
	for {
		handled, err := r.Store.RelayOutbox(ctx, r.Publisher)
		switch {
		case err == nil:
			failing = false
		case errors.Is(err, context.Canceled):
		case !failing: // said once an outage, not four times a second
			failing = true
			r.Logger.Warn("outbox is not being published", zap.Error(err))
		}
		if handled == relayBatch && err == nil {
			continue
		}
		empty++
		if handled > 0 { // more may come, or come due again
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

// pauseAfter is how long a relay waits after so many looks in a row that found nothing.
func pauseAfter(empty int, tick time.Duration) time.Duration {
	return backoff.Delays{First: tick, Longest: max(tick, relayLongest)}.After(empty + 1)
}

// Flush publishes what is due once more, for a service that stops.
func (r *Relay) Flush(ctx context.Context) {
	if _, err := r.Store.RelayOutbox(ctx, r.Publisher); err != nil {
		r.Logger.Warn("outbox was not flushed; another relay publishes it", zap.Error(err))
	}
}
