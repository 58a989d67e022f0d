package store

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// relayTick is how often a relay looks for rows that others left, or that are due again.
const relayTick = 250 * time.Millisecond

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
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
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
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-r.Store.OutboxWoken():
		}
	}
}

// Flush publishes what is due once more, for a service that stops.
func (r *Relay) Flush(ctx context.Context) {
	if _, err := r.Store.RelayOutbox(ctx, r.Publisher); err != nil {
		r.Logger.Warn("outbox was not flushed; another relay publishes it", zap.Error(err))
	}
}
