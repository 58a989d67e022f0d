package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const (
	auditEvery = 5 * time.Minute
	countEvery = 15 * time.Second
	auditPage  = 500
)

// auditing says when the stream is compared with the table, message by message: at the start, every few minutes, and
// when their counts differ.
type auditing struct {
	*follower

	audited time.Time
	counted time.Time
	differ  bool // by the count before: a message may just be on its way
}

func (f *follower) newAuditing() *auditing { return &auditing{follower: f} }

func (a *auditing) whenDue(ctx context.Context) error {
	now := time.Now()
	due := now.Sub(a.audited) >= auditEvery
	if !due && now.Sub(a.counted) >= countEvery {
		a.counted = now
		differ, err := a.countsDiffer(ctx)
		if err != nil {
			return err
		}
		due, a.differ = differ && a.differ, differ
	}
	if !due {
		return nil
	}
	if err := a.audit(ctx); err != nil {
		return fmt.Errorf("compare the stream with the letters: %w", err)
	}
	a.audited, a.counted, a.differ = now, now, false
	return nil
}

func (a *auditing) countsDiffer(ctx context.Context) (bool, error) {
	info, err := a.stream.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("count messages: %w", err)
	}
	shown, err := a.store.CountShown(ctx)
	return info.State.Msgs != uint64(max(shown, 0)), err
}

// audit deletes messages that show no open letter, and has letters whose message is gone shown again.
func (f *follower) audit(ctx context.Context) error {
	info, err := f.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at the stream: %w", err)
	}
	if !bus.CreatedOf(f.stream).Equal(f.created) {
		return f.look(ctx) // another stream, of which nothing is known yet
	}
	last := info.State.LastSeq // what comes later is not this audit's
	taken, err := f.takenUpTo(ctx, last)
	if err != nil {
		return err
	}
	consumer, err := f.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true, MemoryStorage: true,
		InactiveThreshold: time.Minute, Replicas: 1,
	})
	if err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	defer func() {
		forgetting, cancel := context.WithTimeout(context.WithoutCancel(ctx), showTimeout)
		defer cancel()
		if err := f.stream.DeleteConsumer(forgetting, consumer.CachedInfo().Name); err != nil {
			f.logger.Debug("the server forgets the audit's consumer by itself", zap.Error(err))
		}
	}()
	reading := &reading{consumer: consumer}
	for from := uint64(1); from <= last; {
		page, err := reading.page(ctx)
		if err != nil {
			return err
		}
		to := last
		if len(page) > 0 {
			page = slices.DeleteFunc(page, func(m listed) bool { return m.sequence > last })
		}
		if len(page) > 0 {
			to = page[len(page)-1].sequence
		}
		if err := f.compare(ctx, page, from, to, taken); err != nil {
			return err
		}
		from = to + 1
	}
	return nil
}

// takenUpTo is the sequence, at most last, up to which dlq-retry has judged everything: beyond it, what nobody knows may
// be what an operator has just republished.
func (f *follower) takenUpTo(ctx context.Context, last uint64) (uint64, error) {
	consumer, err := f.stream.Consumer(ctx, bus.DurableDLQRetry)
	if err != nil {
		return 0, fmt.Errorf("look up consumer: %w", err)
	}
	info := consumer.CachedInfo()
	// Not by what is pending: the server acknowledges a message before the consumer has heard of it.
	newest, err := f.stream.GetLastMsgForSubject(ctx, bus.Retries)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return last, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the newest message: %w", err)
	}
	if info.NumAckPending == 0 && info.Delivered.Stream >= newest.Sequence {
		return last, nil
	}
	return info.AckFloor.Stream, nil
}

// listed is a message of the stream.
type listed struct {
	sequence uint64
	waiting  bool // on a subject that dlq-retry reads
}

// reading is an audit's way through the stream.
type reading struct {
	consumer jetstream.Consumer
	got      uint64 // messages
}

// errSilent says that the server gave less than it has. It is none of the stream's messages that are missing.
var errSilent = errors.New("read the stream: the server was slow; the audit is repeated")

// page lists the messages that follow; none where the stream is at its end. A server that is slow ends a fetch in the
// same way as one that has nothing more, so that each message is counted, and the end is asked for.
func (r *reading) page(ctx context.Context) ([]listed, error) {
	batch, err := r.consumer.FetchNoWait(auditPage)
	if err != nil {
		return nil, fmt.Errorf("read the stream: %w", err)
	}
	var page []listed
	for msg := range batch.Messages() {
		metadata, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read the stream: %w", err)
		}
		if r.got++; metadata.Sequence.Consumer != r.got {
			return nil, errSilent // one came when nobody waited for it any more
		}
		page = append(page, listed{sequence: metadata.Sequence.Stream, waiting: bus.IsRetry(msg.Subject())})
	}
	if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
		return nil, fmt.Errorf("read the stream: %w", err)
	}
	if len(page) > 0 {
		return page, nil
	}
	info, err := r.consumer.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the stream: %w", err)
	}
	if info.NumPending > 0 || info.Delivered.Consumer != r.got {
		return nil, errSilent
	}
	return nil, nil
}

// compare compares the messages from one sequence to another with the letters that the table has there.
func (f *follower) compare(ctx context.Context, page []listed, from, to, taken uint64) error {
	shown, err := f.store.ShownBetween(ctx, f.created, from, to)
	if err != nil {
		return err
	}
	there := make(map[uint64]bool, len(page))
	for _, message := range page {
		there[message.sequence] = true
	}
	missing := slices.DeleteFunc(slices.Clone(shown), func(letter store.ShownLetter) bool { return there[letter.Sequence] })
	if len(missing) > 0 {
		n, err := f.store.ShowAgain(ctx, f.created, missing)
		if err != nil {
			return err
		}
		f.metrics.changed("shown_again", int(n))
		f.logger.Info("letters are shown again: their messages were gone", zap.Int64("letters", n))
	}
	for _, letter := range shown {
		delete(there, letter.Sequence)
	}
	var unknown []uint64
	for _, message := range page {
		if there[message.sequence] && (!message.waiting || message.sequence <= taken) {
			unknown = append(unknown, message.sequence)
		}
	}
	for some := range slices.Chunk(unknown, showAtOnce) {
		if err := f.deleteUnknown(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// deleteUnknown deletes those messages that still show no open letter when nobody is publishing any.
func (f *follower) deleteUnknown(ctx context.Context, sequences []uint64) error {
	return f.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ExcludeShowing(ctx); err != nil {
			return err
		}
		if _, err := f.stream.Info(ctx); err != nil {
			return fmt.Errorf("look at the stream: %w", err)
		}
		if !bus.CreatedOf(f.stream).Equal(f.created) {
			return nil
		}
		known, err := tx.ShownAmong(ctx, f.created, sequences)
		if err != nil {
			return err
		}
		orphans := slices.DeleteFunc(slices.Clone(sequences), func(sequence uint64) bool { return known[sequence] })
		bounded, cancel := context.WithTimeout(ctx, showTimeout)
		defer cancel()
		if err := f.delete(bounded, orphans); err != nil {
			return err
		}
		f.metrics.changed("orphan_deleted", len(orphans))
		f.logger.Info("messages deleted that show no open letter", zap.Int("messages", len(orphans)))
		return nil
	})
}
