package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// batch is what one request of a command works: the letters that are meant, and what became of them.
type batch struct {
	report.LettersDone

	letters []store.ListedLetter
	more    bool // there are others behind them
	until   time.Time
}

// begin reads the letters of a command's batch.
func (d *letterDesk) begin(ctx context.Context, command report.LettersCommand) (*batch, error) {
	if err := wellAsked(command.Validate()); err != nil {
		return nil, err
	}
	b := &batch{LettersDone: report.LettersDone{Left: []report.LetterLeft{}}, until: d.clock().Add(d.batchFor)}
	var err error
	if len(command.IDs) > 0 {
		var left []report.LetterLeft
		if b.letters, left, err = report.NamedLetters(ctx, d.store.Conn, command); err != nil {
			return nil, err
		}
		b.Left = append(b.Left, left...)
		b.AsOf, err = report.AsOf(ctx, d.store, command.LettersFilter)
		return b, err
	}
	b.letters, b.AsOf, b.more, err = report.LettersBatch(ctx, d.store, command.Question(), report.MaxLettersBatch, false)
	return b, err
}

func (b *batch) leave(letter store.ListedLetter, reason string) {
	b.Left = append(b.Left, report.LeftAs(letter, reason))
}

// end closes a batch whose first letters were worked, and leaves a line in the log: ids and codes, but no text that
// somebody searched for.
func (d *letterDesk) end(command report.LettersCommand, verb string, b *batch, worked int) report.LettersDone {
	b.Matched = int64(worked + notFound(b.Left))
	if len(command.IDs) == 0 {
		b.Next = report.NextBatch(b.letters, worked, b.more)
	}
	d.logger.Info("letters worked for an operator", append(meant(command), zap.String("verb", verb), zap.Int64("done", b.Done),
		zap.Int("left", len(b.Left)), zap.Bool("last", b.Next == nil))...)
	return b.LettersDone
}

// meant are the parts of a command that say which letters were meant: those that were given.
func meant(command report.LettersCommand) []zap.Field {
	filter := command.LettersFilter
	var fields []zap.Field
	for _, part := range []struct{ name, value string }{
		{"customer", filter.CustomerID}, {"kind", filter.Kind}, {"state", filter.State}, {"error_code", filter.ErrorCode},
		{"error_class", filter.ErrorClass}, {"record", filter.RecordID},
	} {
		if part.value != "" {
			fields = append(fields, zap.String(part.name, part.value))
		}
	}
	if filter.Text != "" {
		fields = append(fields, zap.Bool("text", true))
	}
	if filter.OlderThanSeconds != 0 {
		fields = append(fields, zap.Int64("older_than_s", filter.OlderThanSeconds))
	}
	if filter.NewerThanSeconds != 0 {
		fields = append(fields, zap.Int64("newer_than_s", filter.NewerThanSeconds))
	}
	if len(filter.IDs) > 0 {
		fields = append(fields, zap.Strings("ids", filter.IDs))
	}
	if command.AllMatching {
		fields = append(fields, zap.Bool("all_matching", true))
	}
	return fields
}

func notFound(left []report.LetterLeft) int {
	count := 0
	for _, one := range left {
		if one.CustomerID == "" {
			count++
		}
	}
	return count
}

// retry answers rollcall.api.letters.retry: record letters become due now, message letters are published again.
func (d *letterDesk) retry(ctx context.Context, command report.LettersCommand) (report.LettersDone, error) {
	b, err := d.begin(ctx, command)
	if err != nil {
		return report.LettersDone{}, err
	}
	// Messages first: where time runs out among them, the batch ends there, and no record letter behind that place is
	// asked for twice.
	worked := len(b.letters)
	for i, letter := range b.letters {
		if letter.Kind != deadletter.KindMessage || report.Stuck(letter) != "" {
			continue
		}
		if len(command.IDs) == 0 && i > 0 && d.clock().After(b.until) {
			worked = i
			break
		}
		if err := d.messages.redriveMessage(ctx, letter.ID); err != nil {
			if ctx.Err() != nil {
				return report.LettersDone{}, err
			}
			b.Left = append(b.Left, d.notRedriven(letter, err))
			continue
		}
		b.Done++
	}
	var records []store.ListedLetter
	for _, letter := range b.letters[:worked] {
		switch reason := report.Stuck(letter); {
		case reason != "":
			b.leave(letter, reason)
		case letter.Kind != deadletter.KindMessage:
			records = append(records, letter)
		}
	}
	err = d.whileHeld(ctx, b, records, func(ctx context.Context, tx *store.Tx, held []uuid.UUID) error {
		_, err := tx.AskLetters(ctx, held)
		return err
	})
	if err != nil {
		return report.LettersDone{}, err
	}
	d.asked(customersOf(records)...)
	return d.end(command, report.VerbRetry, b, worked), nil
}

// notRedriven says why a message was not published again.
func (d *letterDesk) notRedriven(letter store.ListedLetter, err error) report.LetterLeft {
	left := report.LeftAs(letter, report.LeftRedriveError)
	if conflict, ok := errors.AsType[*service.ConflictError](err); ok {
		left.Text = conflict.Text
		return left
	}
	left.Code = fault.CodeOf(err)
	d.logger.Warn("message letter not published again", zap.Stringer("letter", letter.ID), zap.Error(err))
	return left
}

func customersOf(letters []store.ListedLetter) []string {
	customers := make([]string, 0, len(letters))
	for _, letter := range letters {
		customers = append(customers, letter.Customer)
	}
	slices.Sort(customers)
	return slices.Compact(customers)
}

// discard answers rollcall.api.letters.discard: the letters are settled as they are, each with a line in the audit.
func (d *letterDesk) discard(ctx context.Context, command report.LettersCommand) (report.LettersDone, error) {
	b, err := d.begin(ctx, command)
	if err != nil {
		return report.LettersDone{}, err
	}
	var open []store.ListedLetter
	for _, letter := range b.letters {
		if letter.State == store.LettersSettled {
			b.leave(letter, report.LeftSettled)
			continue
		}
		open = append(open, letter)
	}
	err = d.whileHeld(ctx, b, open, func(ctx context.Context, tx *store.Tx, held []uuid.UUID) error {
		if _, err := tx.DiscardLetters(ctx, held, command.Note); err != nil {
			return err
		}
		messages := slices.DeleteFunc(slices.Clone(open), func(letter store.ListedLetter) bool {
			return letter.Kind != deadletter.KindMessage || !slices.Contains(held, letter.ID)
		})
		for _, customer := range customersOf(messages) {
			if err := deadletter.ClearOnboarding(ctx, tx, customer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return report.LettersDone{}, err
	}
	d.asked() // the stream shows them no more
	return d.end(command, report.VerbDiscard, b, len(b.letters)), nil
}

// whileHeld does something to these letters, each as soon as no job has it in hand: it waits for no lock, and so cannot
// be part of a deadlock. Those that stay in hand for as long as a batch may work are left.
func (d *letterDesk) whileHeld(ctx context.Context, b *batch, letters []store.ListedLetter,
	work func(ctx context.Context, tx *store.Tx, held []uuid.UUID) error,
) error {
	letters = slices.Clone(letters)
	for len(letters) > 0 {
		ids := make([]uuid.UUID, 0, len(letters))
		for _, letter := range letters {
			ids = append(ids, letter.ID)
		}
		var held []uuid.UUID
		err := d.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			if held, err = tx.HoldOpenLetters(ctx, ids); err != nil || len(held) == 0 {
				return err
			}
			return work(ctx, tx, held)
		})
		if err != nil {
			return err
		}
		b.Done += int64(len(held))
		letters = slices.DeleteFunc(letters, func(letter store.ListedLetter) bool { return slices.Contains(held, letter.ID) })
		if len(letters) == 0 || d.clock().After(b.until) {
			break
		}
		if err := d.pause(ctx); err != nil {
			return err
		}
		if letters, err = d.stillOpen(ctx, b, letters); err != nil {
			return err
		}
	}
	for _, letter := range letters {
		b.leave(letter, report.LeftInHand)
	}
	return nil
}

// stillOpen leaves those that were settled meanwhile.
func (d *letterDesk) stillOpen(ctx context.Context, b *batch, letters []store.ListedLetter) ([]store.ListedLetter, error) {
	ids := make([]uuid.UUID, 0, len(letters))
	for _, letter := range letters {
		ids = append(ids, letter.ID)
	}
	now, err := d.store.LettersByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(now, func(letter store.ListedLetter) bool {
		settled := letter.State == store.LettersSettled
		if settled {
			b.leave(letter, report.LeftSettled)
		}
		return settled
	}), nil
}
