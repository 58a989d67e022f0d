package endpoints

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

// recordsEvery is how often a process looks whether an endpoint names events about records.
const recordsEvery = 5 * time.Second

// Records reads the events about single records while an endpoint names one of them. There are as many of them as changed users, so that without
// such an endpoint they are not read at all.
type Records struct {
	Store  *store.Store
	Logger *zap.Logger
	Every  time.Duration                   // default 5 s
	Ensure func(ctx context.Context) error // makes the consumer, which gets what is published from then on
	Drop   func(ctx context.Context) error
	Read   func(ctx context.Context) error // reads until ctx ends

	dropped bool // there is no consumer that this process knows of
}

// Run reads while it is wanted, until ctx ends.
func (r *Records) Run(ctx context.Context) {
	every := r.Every
	if every == 0 {
		every = recordsEvery
	}
	look := time.NewTicker(every)
	defer look.Stop()
	var current *reading
	defer func() { current.end() }()
	for {
		var err error
		if current, err = r.look(ctx, current); err != nil && ctx.Err() == nil {
			r.Logger.Warn("not known whether events about records are wanted; it will be tried again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// look begins to read, or ends it, as the endpoints' topics want it.
func (r *Records) look(ctx context.Context, current *reading) (*reading, error) {
	wanted, err := r.Store.EndpointRecordsWanted(ctx)
	switch {
	case err != nil, wanted && current.isRunning():
		return current, err
	case !wanted && current == nil && r.dropped:
		return nil, nil //nolint:nilnil // nothing is read
	}
	current.end()
	// The lock keeps another process from adding an endpoint between the look and the drop.
	err = r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockEndpointRecords(ctx); err != nil {
			return err
		}
		if wanted, err = tx.EndpointRecordsWanted(ctx); err != nil {
			return err
		}
		if wanted {
			return r.Ensure(ctx)
		}
		return r.Drop(ctx)
	})
	r.dropped = err == nil && !wanted
	if err != nil || !wanted {
		return nil, err
	}
	return r.begin(ctx), nil
}

// reading is a worker that reads events about records. A nil *reading reads nothing.
type reading struct {
	stop  context.CancelFunc
	ended chan struct{}
}

func (r *Records) begin(ctx context.Context) *reading {
	running, stop := context.WithCancel(ctx)
	begun := &reading{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(begun.ended)
		if err := r.Read(running); err != nil && running.Err() == nil {
			r.Logger.Warn("events about records are not read; it will be tried again", zap.Error(err))
		}
	}()
	return begun
}

func (r *reading) isRunning() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// end waits until nothing is read any more.
func (r *reading) end() {
	if r != nil {
		r.stop()
		<-r.ended
	}
}
