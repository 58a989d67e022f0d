package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const (
	wakeEvery      = time.Second
	republishEvery = time.Minute
	unattendedPage = 500
)

// watch brings runs back to work: parked ones when they are due, and whatever a crash, a lost message or a lost
// stream left behind. Every replica runs one; a row is woken by one of them.
type watch struct {
	store     *store.Store
	publisher *bus.Publisher
	logger    *zap.Logger
	jobAge    time.Duration // how long lines of the job log are kept
}

// run works until ctx ends: the unattended runs at once and every minute, the parked ones every second.
func (w *watch) run(ctx context.Context) {
	w.try(ctx, "unattended backfills were not requested again", w.republish)
	wake := time.NewTicker(wakeEvery)
	defer wake.Stop()
	republish := time.NewTicker(republishEvery)
	defer republish.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake.C:
			w.try(ctx, "parked backfills were not woken", w.wakeParked)
		case <-republish.C:
			w.try(ctx, "unattended backfills were not requested again", w.republish)
			w.try(ctx, "finished scans were not forgotten", w.forgetScans)
			w.try(ctx, "old lines of the job log were not forgotten", w.forgetJobs)
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

// republish asks for every unfinished run that nobody works. It goes past the outbox, which would keep and
// retry what the stream refuses: where a request stands in the stream already, the refusal is the good answer.
func (w *watch) republish(ctx context.Context) error {
	for after := int64(0); ; {
		runs, err := w.store.UnattendedRuns(ctx, after, unattendedPage)
		if err != nil || len(runs) == 0 {
			return err
		}
		batch := make([]bus.Outgoing, 0, len(runs))
		for _, run := range runs {
			message, err := requestMessage(run)
			if err != nil {
				return err
			}
			batch = append(batch, bus.Outgoing{Subject: message.Subject, ID: message.ID, Payload: message.Payload})
		}
		for _, err := range w.publisher.Publish(ctx, batch) {
			if err != nil && !errors.Is(err, bus.ErrSubjectBusy) {
				return fmt.Errorf("request an unattended backfill: %w", err)
			}
		}
		after = runs[len(runs)-1].ID
	}
}

// forgetAtMost bounds one round of deleting, so that it keeps no parked run waiting; the next goes on.
const forgetAtMost = 20

// forgetScans deletes what complete scans had noted to know what they saw.
func (w *watch) forgetScans(ctx context.Context) error {
	for range forgetAtMost {
		if more, err := w.store.ForgetFinishedScans(ctx); err != nil || !more {
			return err
		}
	}
	return nil
}

// forgetJobs deletes lines of the job log that nobody looks at any more: ten thousand customers make a million a day.
func (w *watch) forgetJobs(ctx context.Context) error {
	for range forgetAtMost {
		if more, err := w.store.ForgetJobs(ctx, w.jobAge); err != nil || !more {
			return err
		}
	}
	return nil
}
