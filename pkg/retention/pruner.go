package retention

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

const (
	pruneEvery = time.Minute
	// batchesPerRound bounds the work on one rule: the next round continues, and other rules get their turn.
	batchesPerRound = 100
)

// Pruner deletes what is older than its rule says. Any number of processes may run one: a row that one deletes, the others
// skip.
type Pruner struct {
	Store  *store.Store
	Logger *zap.Logger
	Rules  []Rule
}

// Run deletes every minute until ctx ends.
func (p *Pruner) Run(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		p.Round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Round deletes what is due now, as far as one round goes. A rule that fails is tried again in the next round.
func (p *Pruner) Round(ctx context.Context) {
	for _, rule := range p.Rules {
		if rule.forget == nil || (rule.Age == 0 && !rule.Always) {
			continue
		}
		for range batchesPerRound {
			more, err := rule.forget(ctx, p.Store, rule.Age)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				p.Logger.Warn("old rows were not deleted; it is tried again", zap.String("what", rule.What), zap.Error(err))
			}
			if err != nil || !more {
				break
			}
		}
	}
}
