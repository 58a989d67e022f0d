package job

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
	lookEvery      = time.Second
	republishEvery = time.Minute
	unattendedPage = 500
)

// Watch brings runs of a kind to work: those that the schedule has come to, parked ones when they are due, and
// whatever a crash, a lost message or a lost stream left behind. Every replica runs one; a row is with one of them.
type Watch struct {
	Store     *store.Store
	Publisher *bus.Publisher
	Logger    *zap.Logger
	Kind      Kind
	// Schedule starts the runs that are due, a bounded number at a time; more says that there may be others.
	Schedule func(ctx context.Context) (more bool, err error)
}

// Run works until ctx ends: the schedule and the parked every second, the unattended at once and every minute.
func (w *Watch) Run(ctx context.Context) {
	w.try(ctx, "unattended runs were not requested again", w.republish)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	republish := time.NewTicker(republishEvery)
	defer republish.Stop()
	for {
		w.try(ctx, "the schedule was not looked at", w.schedule)
		w.try(ctx, "parked runs were not woken", w.wakeParked)
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-republish.C:
			w.try(ctx, "unattended runs were not requested again", w.republish)
		}
	}
}

func (w *Watch) try(ctx context.Context, complaint string, do func(context.Context) error) {
	if err := do(ctx); err != nil && ctx.Err() == nil {
		w.Logger.Warn(complaint, zap.String("kind", w.Kind.Name), zap.Error(err))
	}
}

func (w *Watch) schedule(ctx context.Context) error {
	for {
		if more, err := w.Schedule(ctx); err != nil || !more {
			return err
		}
	}
}

// wakeParked wakes all that are due, a batch in each transaction: thousands may have waited for the same thing.
func (w *Watch) wakeParked(ctx context.Context) error {
	for {
		woken := 0
		err := w.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			runs, err := tx.WakeParkedSyncRuns(ctx, w.Kind.Name)
			if err != nil {
				return err
			}
			woken = len(runs)
			return w.Kind.Request(ctx, tx, runs)
		})
		if err != nil || woken == 0 {
			return err
		}
	}
}

// Request owes the bus a request for each of these runs.
func (k Kind) Request(ctx context.Context, tx *store.Tx, runs []store.RunRef) error {
	messages := make([]store.Message, 0, len(runs))
	for _, run := range runs {
		message, err := k.Message(run)
		if err != nil {
			return err
		}
		messages = append(messages, message)
	}
	return tx.Publish(ctx, messages...)
}

// republish asks for every unfinished run that nobody works. It goes past the outbox, which would keep and
// retry what the stream refuses: where a request stands in the stream already, the refusal is the good answer.
func (w *Watch) republish(ctx context.Context) error {
	for after := int64(0); ; {
		runs, err := w.Store.UnattendedSyncRuns(ctx, w.Kind.Name, after, unattendedPage)
		if err != nil || len(runs) == 0 {
			return err
		}
		batch := make([]bus.Outgoing, 0, len(runs))
		for _, run := range runs {
			message, err := w.Kind.Message(run)
			if err != nil {
				return err
			}
			batch = append(batch, bus.Outgoing{Subject: message.Subject, ID: message.ID, Payload: message.Payload})
		}
		for _, err := range w.Publisher.Publish(ctx, batch) {
			if err != nil && !errors.Is(err, bus.ErrSubjectBusy) {
				return fmt.Errorf("request an unattended run: %w", err)
			}
		}
		after = runs[len(runs)-1].ID
	}
}
