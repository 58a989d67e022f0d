package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

const gaugeEvery = 15 * time.Second

// gauges tell how many letters stand, and how far the stream is behind.
type gauges struct {
	store   *store.Store
	logger  *zap.Logger
	metrics *metrics
}

func (g *gauges) run(ctx context.Context) {
	ticker := time.NewTicker(gaugeEvery)
	defer ticker.Stop()
	for {
		if err := g.look(ctx); err != nil && ctx.Err() == nil {
			g.logger.Warn("letters were not counted", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (g *gauges) look(ctx context.Context) error {
	states, err := g.store.OpenLettersByState(ctx)
	if err != nil {
		return err
	}
	unshown, err := g.store.CountUnshown(ctx)
	if err != nil {
		return err
	}
	g.metrics.stands(states, unshown)
	return nil
}
