package job

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const (
	lookEvery      = time.Second
	republishEvery = time.Minute
	unattendedPage = 500
	// busyAtMost is how many requests of one round may turn out to be in their stream already: if a hundred thousand wait, the
	// next rounds ask for the others.
	busyAtMost = 1000
)

// Watch brings runs of a kind to work: those that are due by the schedule, parked ones when their time has come, and what a crash,
// a lost message or a lost stream left behind. Every replica runs one; each row is handled by one of them.
type Watch struct {
	Store     *store.Store
	Publisher *bus.Publisher
	Logger    *zap.Logger
	Kind      Kind
	// Schedule starts the runs that are due, a bounded number at a time; more reports that there may be others. nil: no run of
	// the kind starts by itself.
	Schedule func(ctx context.Context) (more bool, err error)
}

// Run works until ctx ends: every second it looks at the schedule and at parked runs. At once and every minute it also moves the
// runs of the version before to this version's table, and asks again for unattended runs.
func (w *Watch) Run(ctx context.Context) {
	republish := &Republish{Publisher: w.Publisher, Message: w.Kind.Message, Unattended: w.unattended}
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() {
		Every(ctx, republishEvery, func() {
			w.try(ctx, "runs of the version before were not moved", func(ctx context.Context) error {
				return w.Store.MoveRuns(ctx, w.Kind.Name)
			})
			w.try(ctx, "unattended runs were not requested again", func(ctx context.Context) error {
				_, err := republish.Round(ctx)
				return err
			})
		})
	})
	Every(ctx, lookEvery, func() {
		w.try(ctx, "runs that are due were not started", w.schedule)
		w.try(ctx, "parked runs were not woken", w.wakeParked)
	})
}

// Every does something at once and each time that a pause is over, until ctx ends.
func Every(ctx context.Context, pause time.Duration, do func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *Watch) try(ctx context.Context, complaint string, do func(context.Context) error) {
	if err := do(ctx); err != nil && ctx.Err() == nil {
		w.Logger.Warn(complaint, zap.String("kind", w.Kind.Name), zap.Error(err))
	}
}

func (w *Watch) schedule(ctx context.Context) error {
	for more := w.Schedule != nil; more; {
		var err error
		if more, err = w.Schedule(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wakeParked wakes all runs that are due, a batch in each transaction: thousands may have waited for the same thing.
func (w *Watch) wakeParked(ctx context.Context) error {
	for {
		woken := 0
		err := w.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			runs, err := tx.WakeParkedRuns(ctx, w.Kind.Name)
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

func (w *Watch) unattended(ctx context.Context, after int64, limit int32) ([]store.RunRef, error) {
	return w.Store.UnattendedRuns(ctx, w.Kind.Name, after, limit)
}

// Republish asks again for unfinished runs that no worker has: what a lost message, stream or worker leaves behind. It publishes
// past the outbox, which would keep and retry what the stream refuses: if a request is in the stream already, the refusal is
// the good answer.
type Republish struct {
	Publisher *bus.Publisher
	// Unattended returns such runs, by id, after the given one.
	Unattended func(ctx context.Context, after int64, limit int32) ([]store.RunRef, error)
	Message    func(run store.RunRef) (store.Message, error)

	after int64 // where the next round continues
}

// Round asks for runs until there is no other, or until enough requests were found in the stream; it returns for how many it
// asked. Requests that were lost do not count against the limit: a lost stream is filled in one round.
func (r *Republish) Round(ctx context.Context) (asked int, err error) {
	for busy := 0; busy < busyAtMost; {
		runs, err := r.Unattended(ctx, r.after, unattendedPage)
		if err != nil {
			return asked, err
		}
		if len(runs) == 0 {
			r.after = 0
			return asked, nil
		}
		batch := make([]bus.Outgoing, 0, len(runs))
		for _, run := range runs {
			message, err := r.Message(run)
			if err != nil {
				return asked, err
			}
			batch = append(batch, bus.Outgoing{Subject: message.Subject, ID: message.ID, Headers: message.Headers, Payload: message.Payload})
		}
		fresh, err := r.Publisher.Renew(ctx, batch)
		if err != nil {
			return asked, fmt.Errorf("request an unattended run: %w", err)
		}
		asked += len(runs)
		busy += len(runs) - fresh
		r.after = runs[len(runs)-1].ID
	}
	return asked, nil
}
