package job

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const lookEvery = time.Second

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

// Run works until ctx ends: the schedule and the parked every second, and beside them the unattended at once and
// every minute.
func (w *Watch) Run(ctx context.Context) {
	republish := &Republish{
		Publisher: w.Publisher, Message: w.Kind.Message,
		Unattended: func(ctx context.Context, after int64, limit int32) ([]store.RunRef, error) {
			return w.Store.UnattendedSyncRuns(ctx, w.Kind.Name, after, limit)
		},
	}
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() {
		republish.Run(ctx, func(err error) {
			w.Logger.Warn("unattended runs were not requested again", zap.String("kind", w.Kind.Name), zap.Error(err))
		})
	})
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		w.try(ctx, "the schedule was not looked at", w.schedule)
		w.try(ctx, "parked runs were not woken", w.wakeParked)
		select {
		case <-ctx.Done():
			return
		case <-look.C:
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
