package letterapi

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// batch holds the letters of one request of a command, and the results.
type batch struct {
	operatorapi.LettersDone

	letters []store.ListedLetter
	more    bool // more letters match
	until   time.Time
	ledger  *ledger // of a drain; nil if a client asks for the batch
}

// begin reads the letters of a command's batch.
func (d *API) begin(ctx context.Context, command operatorapi.LettersCommand) (*batch, error) {
	if err := invalid(command.Validate()); err != nil {
		return nil, err
	}
	b := &batch{LettersDone: operatorapi.LettersDone{Left: []operatorapi.LetterLeft{}}, until: d.clock().Add(d.batchFor)}
	var err error
	if len(command.IDs) > 0 {
		var left []operatorapi.LetterLeft
		if b.letters, left, err = report.NamedLetters(ctx, d.store.Conn, command); err != nil {
			return nil, err
		}
		b.Left = append(b.Left, left...)
		b.AsOf, err = report.AsOf(ctx, d.store, command.LettersFilter)
		return b, err
	}
	b.letters, b.AsOf, b.more, err = report.LettersBatch(ctx, d.store, command.Question(), operatorapi.MaxLettersBatch, false)
	return b, err
}

func (b *batch) leave(letter store.ListedLetter, reason string) {
	b.Left = append(b.Left, report.LeftAs(letter, reason))
}

// end returns the results of a batch whose first letters were worked, and logs ids and codes, but not the text that an
// operator searched for.
func (d *API) end(command operatorapi.LettersCommand, verb string, b *batch, worked int) operatorapi.LettersDone {
	b.Matched = int64(worked + notFound(b.Left))
	if len(command.IDs) == 0 {
		b.Next = report.NextBatch(b.letters, worked, b.more)
	}
	d.logger.Info("letters worked for an operator", append(filterFields(command), zap.String("verb", verb), zap.Int64("done", b.Done),
		zap.Int("left", len(b.Left)), zap.Bool("last", b.Next == nil))...)
	return b.LettersDone
}

// filterFields returns the conditions that the command gave.
func filterFields(command operatorapi.LettersCommand) []zap.Field {
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

func notFound(left []operatorapi.LetterLeft) int {
	count := 0
	for _, one := range left {
		if one.CustomerID == "" {
			count++
		}
	}
	return count
}

// retry answers rollcall.api.letters.retry: record letters become due now, message letters are published again.
func (d *API) retry(ctx context.Context, command operatorapi.LettersCommand) (operatorapi.LettersDone, error) {
	b, err := d.begin(ctx, command)
	if err != nil {
		return operatorapi.LettersDone{}, err
	}
	worked, err := d.retryBatch(ctx, b, len(command.IDs) > 0)
	if err != nil {
		return operatorapi.LettersDone{}, err
	}
	return d.end(command, operatorapi.VerbRetry, b, worked), nil
}

// retryBatch retries the letters of a batch, or the first ones if time runs out, and returns how many these are. Named letters are retried
// however long it takes.
func (d *API) retryBatch(ctx context.Context, b *batch, named bool) (worked int, err error) {
	// Messages come first: if time runs out among them, the batch ends there, and no record letter after that place is
	// asked for twice.
	worked = len(b.letters)
	for i, letter := range b.letters {
		if !deadletter.HoldsMessage(letter.Kind) || report.Stuck(letter) != "" {
			continue
		}
		if !named && i > 0 && d.clock().After(b.until) {
			worked = i
			break
		}
		if err := d.redrive(ctx, b, letter); err != nil {
			return 0, err
		}
	}
	var records []store.ListedLetter
	for _, letter := range b.letters[:worked] {
		switch reason := report.Stuck(letter); {
		case reason != "":
			b.leave(letter, reason)
		case !deadletter.HoldsMessage(letter.Kind):
			records = append(records, letter)
		}
	}
	err = d.whileHeld(ctx, b, records, func(ctx context.Context, tx *store.Tx, held []uuid.UUID) error {
		return tx.AskHeldLetters(ctx, held)
	})
	if err != nil {
		return 0, err
	}
	d.changed(customersOf(records)...)
	return worked, nil
}

// redrive publishes the message of a letter again. It returns only errors that end the batch: any other leaves the letter as it is.
func (d *API) redrive(ctx context.Context, b *batch, letter store.ListedLetter) error {
	err := d.messages.RedriveWith(ctx, letter.ID, func(ctx context.Context, tx *store.Tx) error {
		if err := b.ledger.hold(ctx, tx); err != nil {
			return err
		}
		return b.ledger.add(ctx, tx, letter)
	})
	switch {
	case err == nil:
		b.Done++
	case ctx.Err() != nil, b.ledger.mayTryAgain(letter.ID, err):
		return err
	default:
		b.Left = append(b.Left, d.notRedriven(letter, err))
	}
	return nil
}

// notRedriven returns why a message was not published again.
func (d *API) notRedriven(letter store.ListedLetter, err error) operatorapi.LetterLeft {
	left := report.LeftAs(letter, operatorapi.LeftRedriveError)
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

// discard answers rollcall.api.letters.discard: each letter is settled with an audit row.
func (d *API) discard(ctx context.Context, command operatorapi.LettersCommand) (operatorapi.LettersDone, error) {
	b, err := d.begin(ctx, command)
	if err != nil {
		return operatorapi.LettersDone{}, err
	}
	if err := d.discardBatch(ctx, b, command.Note); err != nil {
		return operatorapi.LettersDone{}, err
	}
	return d.end(command, operatorapi.VerbDiscard, b, len(b.letters)), nil
}

// discardBatch discards the letters of a batch.
func (d *API) discardBatch(ctx context.Context, b *batch, note string) error {
	var open []store.ListedLetter
	for _, letter := range b.letters {
		if letter.State == store.LettersSettled {
			b.leave(letter, operatorapi.LeftSettled)
			continue
		}
		open = append(open, letter)
	}
	err := d.whileHeld(ctx, b, open, func(ctx context.Context, tx *store.Tx, held []uuid.UUID) error {
		if _, err := tx.DiscardLetters(ctx, held, note); err != nil {
			return err
		}
		messages := slices.DeleteFunc(slices.Clone(open), func(letter store.ListedLetter) bool {
			return letter.Kind != deadletter.KindMessage || !slices.Contains(held, letter.ID)
		})
		for _, customer := range customersOf(messages) {
			if err := messageletter.ClearOnboarding(ctx, tx, customer); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		d.changed()
	}
	return err
}

// whileHeld works on these letters, each as soon as no job has it locked. It never waits for a lock, so it cannot be part
// of a deadlock. Letters that stay locked for as long as a batch may work are left out.
func (d *API) whileHeld(ctx context.Context, b *batch, letters []store.ListedLetter,
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
			if err := b.ledger.hold(ctx, tx); err != nil {
				return err
			}
			if held, err = tx.HoldOpenLetters(ctx, ids); err != nil || len(held) == 0 {
				return err
			}
			if err := b.ledger.add(ctx, tx, among(letters, held)...); err != nil {
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
		b.leave(letter, operatorapi.LeftInHand)
	}
	return nil
}

// among returns those of the letters whose ids are held.
func among(letters []store.ListedLetter, held []uuid.UUID) []store.ListedLetter {
	return slices.DeleteFunc(slices.Clone(letters), func(letter store.ListedLetter) bool { return !slices.Contains(held, letter.ID) })
}

// stillOpen leaves out the letters that were settled meanwhile.
func (d *API) stillOpen(ctx context.Context, b *batch, letters []store.ListedLetter) ([]store.ListedLetter, error) {
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
			b.leave(letter, operatorapi.LeftSettled)
		}
		return settled
	}), nil
}
