package main

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

const (
	wakeEvery   = time.Second
	forgetEvery = time.Minute
)

// watch brings runs back to work: parked ones when they are due, and whatever a crash, a lost message or a lost
// stream left behind. Every replica runs one; a row is woken by one of them.
type watch struct {
	store     *store.Store
	publisher *bus.Publisher
	logger    *zap.Logger
	jobAge    time.Duration // how long lines of the job log are kept
}

// run works until ctx ends: the parked runs every second, and beside them the unattended ones at once and every minute,
// and what is deleted by its age.
func (w *watch) run(ctx context.Context) {
	republish := &job.Republish{Publisher: w.publisher, Message: requestMessage, Unattended: w.store.UnattendedRuns}
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() {
		republish.Run(ctx, func(err error) { w.logger.Warn("unattended backfills were not requested again", zap.Error(err)) })
	})
	beside.Go(func() {
		every(ctx, forgetEvery, func() {
			w.try(ctx, "finished scans were not forgotten", w.forgetScans)
			w.try(ctx, "old lines of the job log were not forgotten", w.forgetJobs)
		})
	})
	every(ctx, wakeEvery, func() { w.try(ctx, "parked backfills were not woken", w.wakeParked) })
}

// every does something each time that a pause is over, until ctx ends.
func every(ctx context.Context, pause time.Duration, do func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

func (w *watch) try(ctx context.Context, complaint string, do func(context.Context) error) {
	if err := do(ctx); err != nil && ctx.Err() == nil {
		w.logger.Warn(complaint, zap.Error(err))
	}
}

func (w *watch) wakeParked(ctx context.Context) error {
	return w.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		runs, err := tx.WakeParkedRuns(ctx)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if err := publishRequest(ctx, tx, run); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgetAtMost bounds one round of deleting: the next goes on.
const forgetAtMost = 100

// forgetScans deletes what complete scans had noted to know what they saw.
func (w *watch) forgetScans(ctx context.Context) error {
	for range forgetAtMost {
		if more, err := w.store.ForgetFinishedScans(ctx); err != nil || !more {
			return err
		}
	}
	return nil
}

// forgetJobs deletes lines of the job log that no command shows any more: ten thousand customers make a million a day.
func (w *watch) forgetJobs(ctx context.Context) error {
	for range forgetAtMost {
		if more, err := w.store.ForgetJobs(ctx, w.jobAge); err != nil || !more {
			return err
		}
	}
	return nil
}
