package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const (
	followEvery   = 300 * time.Millisecond
	followAtMost  = 15 * time.Second // between looks while the bus or the database does not work
	showAtOnce    = 100
	deletesAtOnce = 16
	forgetAtOnce  = 1000
	showTimeout   = 5 * time.Second // below the time that a transaction may idle
	streamEvery   = time.Second
)

// follower has ROLLCALL_DLQ show the open letters, each by one message, as the table has them. It is the stream's only
// publisher; of several replicas, each letter is with one at a time.
//
// A letter is published before it is noted where, in a transaction that holds its row. A crash in between has it
// published again, under the same id: the stream knows it, or, when its window has passed, the audit finds the one
// that no letter names. At least once, idempotent by the letter's shown_seq.
type follower struct {
	store     *store.Store
	js        jetstream.JetStream
	publisher *bus.Publisher
	logger    *zap.Logger
	metrics   *metrics
	woken     chan struct{}
	looked    func() // for tests: the stream shows what there was; nil outside

	stream    jetstream.Stream
	created   time.Time // of the stream whose showings are the ones that count
	createdAt time.Time // when that was looked up
}

// wake has the follower look at once.
func (f *follower) wake() {
	select {
	case f.woken <- struct{}{}:
	default: // it has been told already
	}
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	failures := 0 // looks in a row that failed
	timer := time.NewTimer(0)
	defer timer.Stop()
	auditing := f.newAuditing()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-f.woken:
		}
		err := f.follow(ctx)
		if err == nil {
			err = auditing.whenDue(ctx)
		}
		if err == nil {
			failures = 0
			if f.looked != nil {
				f.looked()
			}
		} else if ctx.Err() == nil {
			f.logger.Warn("ROLLCALL_DLQ does not show all letters as they are", zap.Error(err))
			failures++
		}
		timer.Reset(backoff.Delays{First: followEvery, Longest: followAtMost}.After(failures + 1))
	}
}

// follow brings the stream up to date.
func (f *follower) follow(ctx context.Context) error {
	if time.Since(f.createdAt) >= streamEvery {
		if err := f.look(ctx); err != nil {
			return err
		}
	}
	// Settled letters first: a stream that is full has room for others once they are gone.
	for _, settled := range []bool{true, false} {
		for {
			n, err := f.show(ctx, settled)
			if err != nil {
				return err
			}
			if n < showAtOnce {
				break
			}
		}
	}
	return nil
}

// look finds out whether the stream is the one that letters were shown in. Where it is another, all are to be shown
// again: the table is the truth, and a lost stream is made from it.
func (f *follower) look(ctx context.Context) error {
	stream, err := f.js.Stream(ctx, bus.StreamDLQ)
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	created := bus.CreatedOf(stream)
	f.stream, f.createdAt = stream, time.Now()
	if created.Equal(f.created) {
		return nil
	}
	for {
		n, err := f.store.ForgetShownElsewhere(ctx, created, forgetAtOnce)
		if err != nil {
			return err
		}
		if n > 0 {
			f.metrics.changed("shown_again", int(n))
			f.logger.Info("letters are shown again: the stream is a new one", zap.Int64("letters", n))
		}
		if n < forgetAtOnce {
			break
		}
	}
	f.created = created
	return nil
}

// show brings one batch up to date, and returns how many letters it was. What the stream took is noted also if it refused
// the rest, which the error says.
func (f *follower) show(ctx context.Context, settled bool) (n int, err error) {
	var refused error
	err = f.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letters, err := tx.UnshownLetters(ctx, settled, showAtOnce)
		if err != nil || len(letters) == 0 {
			return err
		}
		n = len(letters)
		bounded, cancel := context.WithTimeout(ctx, showTimeout)
		defer cancel()
		refused, err = f.bring(bounded, tx, letters)
		return err
	})
	return n, errors.Join(err, refused)
}

func (f *follower) bring(ctx context.Context, tx *store.Tx, letters []store.UnshownLetter) (refused, err error) {
	var open []store.UnshownLetter
	var settled []uuid.UUID
	for _, letter := range letters {
		if letter.Open() {
			open = append(open, letter)
		} else {
			settled = append(settled, letter.ID)
		}
	}
	shown, refused := f.publish(ctx, open)
	gone := map[uuid.UUID]bool{} // whose older message has to go
	for _, letter := range shown {
		gone[letter.ID] = true
	}
	for _, id := range settled {
		gone[id] = true
	}
	var replaced []uint64
	for _, letter := range letters {
		// A sequence of another stream is somebody else's by now.
		if gone[letter.ID] && letter.Shown.Sequence != 0 && letter.Shown.Stream.Equal(f.created) {
			replaced = append(replaced, letter.Shown.Sequence)
		}
	}
	for i := range shown {
		replaced = without(replaced, shown[i].Sequence)
	}
	if err := f.delete(ctx, replaced); err != nil {
		return nil, err
	}
	if err := tx.NoteShown(ctx, f.created, shown); err != nil {
		return nil, err
	}
	if err := tx.NoteGone(ctx, settled); err != nil {
		return nil, err
	}
	f.metrics.changed("shown", len(shown))
	f.metrics.changed("taken_away", len(settled))
	return refused, nil
}

// delete takes messages away, several at once.
func (f *follower) delete(ctx context.Context, sequences []uint64) error {
	group, grouped := errgroup.WithContext(ctx)
	group.SetLimit(deletesAtOnce)
	for _, sequence := range sequences {
		group.Go(func() error { return bus.Delete(grouped, f.stream, sequence) })
	}
	return group.Wait()
}

func without(sequences []uint64, one uint64) []uint64 {
	for i, sequence := range sequences {
		if sequence == one {
			return append(sequences[:i], sequences[i+1:]...)
		}
	}
	return sequences
}
