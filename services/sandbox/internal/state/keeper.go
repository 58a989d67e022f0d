// Package state keeps what is in the sandbox in a file, over restarts.
//
// It owns the file and its form: compressed lines of JSON, the first of which says the version. It promises
// that the file is whole at any instant, that a graceful stop loses nothing, and that a sandbox that is killed
// loses the last few seconds. It does not keep traffic counts and faults, and it does not notice a second
// sandbox that was given the same file.
package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/organisation"
)

// Period is the time between two savings while things change.
const Period = 2 * time.Second

// Keeper loads and saves the state. One goroutine at a time may use it.
type Keeper struct {
	Path          string
	Organisations *organisation.Directory
	Records       *crm.Store
	NowFunc       func() time.Time
	WaitFunc      func(context.Context, time.Duration) error
	Log           *zap.Logger

	saved uint64 // changes that are in the file
	found bool   // there is a file
}

// Load adds what the file holds; that there is none is not an error. A damaged one is, and it names the file;
// what was read of it until then is in memory, so that the caller must not go on.
func (k *Keeper) Load() error {
	file, err := os.Open(k.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	into := reading{organisations: k.Organisations, records: k.Records}
	if err := into.all(file); err != nil {
		return fmt.Errorf("state file %s is damaged (move it away to start anew): %w", k.Path, err)
	}
	k.saved, k.found = k.changes(), true
	return nil
}

// While saves the state, runs serve, saves every few seconds meanwhile what changed, and saves what is left
// when serve has returned. A saving that fails meanwhile is logged and made again; the first and the last are
// errors.
func (k *Keeper) While(ctx context.Context, serve func(context.Context) error) error {
	if err := k.save(); err != nil {
		return err // now, rather than when there is something to lose
	}
	// Requests may still be answered after the context's end.
	saving, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		k.periodically(saving)
	}()
	err := serve(ctx)
	stop()
	<-stopped
	return errors.Join(err, k.save())
}

func (k *Keeper) periodically(ctx context.Context) {
	failing := false
	for pause := Period; k.WaitFunc(ctx, pause) == nil; {
		began := k.NowFunc()
		err := k.save()
		// A state so large that it takes longer to save must not take more than half of a processor.
		pause = max(Period, k.NowFunc().Sub(began))
		switch {
		case err != nil && !failing: // once, not every two seconds
			k.Log.Error("state is not saved", zap.Error(err))
		case err == nil && failing:
			k.Log.Info("state is saved again")
		}
		failing = err != nil
	}
}

// save writes the file if something changed since it was written.
func (k *Keeper) save() error {
	changes := k.changes() // before the writing: what changes during it is for the next time
	if k.found && changes == k.saved {
		return nil
	}
	if err := replace(k.Path, k.write); err != nil {
		return err
	}
	k.saved, k.found = changes, true
	return nil
}

func (k *Keeper) changes() uint64 { return k.Organisations.Changes() + k.Records.Changes() }
