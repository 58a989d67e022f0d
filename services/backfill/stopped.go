package main

import (
	"context"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

// stoppedByOperator says whether the run, or its customer, was paused or cancelled under this worker. The page in hand was refused for
// it, whole: what of it reached the destination is written again by the next worker. Nothing is wrong, and nothing is
// left to do.
func (j *turn) stoppedByOperator(ctx context.Context) bool {
	run, err := j.store.Run(ctx, j.run.ID)
	if err != nil {
		return false
	}
	if run.State == store.RunPaused || run.State == store.RunCancelled {
		j.log.Info("backfill stopped by an operator", zap.String("state", string(run.State)), zap.Int("next_page", run.NextPage))
		return true
	}
	customer, err := j.store.Customer(ctx, j.customer.ID)
	if err != nil || customer.PausedAt == nil {
		return false
	}
	j.log.Info("backfill stopped: an operator paused the customer", zap.Int("next_page", run.NextPage))
	return true
}
