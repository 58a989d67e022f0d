// Package state keeps the sandbox's organisations and records in a file, over restarts.
//
// It owns the file: one JSON document with all organisations of VOMO and of Virtuous and all tenants, written anew as a
// whole. It promises that the file is complete at any instant, that a graceful stop loses nothing, and that a sandbox that
// is killed loses the changes of the last pause (see Pause). It does not keep traffic counts, faults, scripts and the
// clock's offset, and it does not notice a second sandbox that was given the same file.
package state

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/vomo"
)

// Pause is the shortest time between two snapshots. A snapshot that takes long is followed by a pause of nine times
// its duration, so that the snapshots of a large sandbox take a tenth of the time at most.
const Pause = 2 * time.Second

const shareOfPause = 9

// snapshot is the content of the file.
type snapshot struct {
	Organisations []vomo.Snapshot `json:"organisations"`
	Tenants       []crm.Snapshot  `json:"tenants"`

	Virtuous []gifts.Snapshot `json:"virtuous,omitempty"` // an older sandbox wrote none
}

// File loads and saves the state. One goroutine at a time may use it.
type File struct {
	Path          string
	Organisations *vomo.Directory
	Records       *crm.Store
	Virtuous      *gifts.Directory
	NowFunc       func() time.Time
	WaitFunc      func(context.Context, time.Duration) error
	Log           *zap.Logger

	saved  uint64 // changes that are in the file
	exists bool
}

// Load adds what the file holds. A missing file is no error. The error of a file that cannot be read names the file
// and the remedy, and the caller must stop: a part of the file may have been added.
func (f *File) Load() error {
	content, err := os.ReadFile(f.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	var found snapshot
	err = answer.Strict(content, &found)
	if err == nil {
		err = f.Organisations.Load(found.Organisations)
	}
	if err == nil {
		err = f.Records.Load(found.Tenants)
	}
	if err == nil {
		err = f.Virtuous.Load(found.Virtuous)
	}
	if err != nil {
		return fmt.Errorf("state file %s is damaged, or an older sandbox wrote it: move it away to start with the people "+
			"of the flags and an empty CRM: %w", f.Path, err)
	}
	f.saved, f.exists = f.changes(), true
	return nil
}

// While saves the state, runs serve, saves the changes that are made meanwhile, and saves once more after serve
// has returned. A failure of the first or the last snapshot is an error. A failure in between is logged, and the next
// pause is followed by another attempt.
func (f *File) While(ctx context.Context, serve func(context.Context) error) error {
	if err := f.save(); err != nil {
		return err // at start, before there is something to lose
	}
	// Requests may still be answered after the context's end.
	saving, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f.saveChanges(saving)
	}()
	err := serve(ctx)
	stop()
	<-stopped
	return errors.Join(err, f.save())
}

func (f *File) saveChanges(ctx context.Context) {
	failing := false
	for pause := Pause; f.WaitFunc(ctx, pause) == nil; {
		began := f.NowFunc()
		err := f.save()
		pause = max(Pause, shareOfPause*f.NowFunc().Sub(began))
		switch {
		case err != nil && !failing: // once for each outage, not once for each attempt
			f.Log.Error("state is not saved", zap.Error(err))
		case err == nil && failing:
			f.Log.Info("state is saved again")
		}
		failing = err != nil
	}
}

// save writes the file if something changed since it was written.
func (f *File) save() error {
	changes := f.changes() // read first: a change during the snapshot is saved by the next one
	if f.exists && changes == f.saved {
		return nil
	}
	err := f.write(snapshot{
		Organisations: f.Organisations.Snapshot(), Tenants: f.Records.Snapshot(), Virtuous: f.Virtuous.Snapshot(),
	})
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	f.saved, f.exists = changes, true
	return nil
}

func (f *File) changes() uint64 {
	return f.Organisations.Changes() + f.Records.Changes() + f.Virtuous.Changes()
}

// write puts a snapshot into a temporary file and renames it when it is complete and on disk. A reader of the path
// finds the old content or the new one, also if the sandbox is killed meanwhile.
func (f *File) write(content snapshot) error {
	// The name is always the same: the next snapshot removes what a killed sandbox left. The file is made anew, so
	// that it has our permissions.
	temporary := f.Path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err //nolint:wrapcheck // save says what was tried
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err //nolint:wrapcheck // save says what was tried
	}
	buffered := bufio.NewWriter(file)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(content)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(temporary, f.Path)
	}
	if err != nil {
		_ = os.Remove(temporary) // the first error says more
	}
	return err
}
