package letterstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const (
	auditEvery   = 5 * time.Minute
	countEvery   = 15 * time.Second
	auditPage    = 5000
	auditTimeout = 10 * time.Minute // a million letters took 97 s: docs/decisions/0039
)

// auditSchedule says when the next audit is due: at start, at intervals, and when the counts of messages and letters
// differ twice in a row. Once proves nothing, because a message may be on its way.
type auditSchedule struct {
	auditedAt time.Time
	countedAt time.Time
	differed  bool
}

func (p *Publisher) auditIfDue(ctx context.Context) error {
	if !p.byLetter() {
		return nil
	}
	now := time.Now()
	due := now.Sub(p.audit.auditedAt) >= auditEvery
	if !due && now.Sub(p.audit.countedAt) >= countEvery {
		p.audit.countedAt = now
		differ, err := p.countsDiffer(ctx)
		if err != nil {
			return err
		}
		due, p.audit.differed = differ && p.audit.differed, differ
	}
	if !due {
		return nil
	}
	if err := p.auditSubjects(ctx); err != nil {
		return fmt.Errorf("compare the stream with the letters: %w", err)
	}
	p.audit = auditSchedule{auditedAt: now, countedAt: now}
	return nil
}

func (p *Publisher) countsDiffer(ctx context.Context) (bool, error) {
	info, err := p.stream.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("count messages: %w", err)
	}
	published, err := p.Store.CountPublished(ctx)
	return info.State.Msgs != uint64(max(published, 0)), err
}

// auditSubjects purges subjects of letters that are not open, and has letters published again whose subject is gone.
//
// The letters are read before the subjects are listed, so that a letter that is published in between is not taken for one
// whose message is gone. What looks wrong is checked once more before anything changes.
func (p *Publisher) auditSubjects(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	began := time.Now()
	handled, err := p.handledUpTo(ctx)
	if err != nil {
		return err
	}
	letters, err := p.publishedLetters(ctx)
	if err != nil {
		return err
	}
	info, err := p.stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return fmt.Errorf("list subjects: %w", err)
	}
	var unexpected []string
	for subject := range info.State.Subjects {
		if !letters.has(subject) {
			unexpected = append(unexpected, subject)
		}
	}
	if err := p.publishAgain(ctx, letters.missing()); err != nil {
		return err
	}
	for _, subject := range unexpected {
		if err := p.purgeUnexpected(ctx, subject, handled); err != nil {
			return err
		}
	}
	p.Logger.Debug("stream audited", zap.Int("letters", len(letters)), zap.Duration("took", time.Since(began)))
	return nil
}

// auditedLetters are the letters that have a message in the stream, by the table.
type auditedLetters map[uuid.UUID]*auditedLetter

type auditedLetter struct {
	store.PublishedLetter

	found bool
}

func (p *Publisher) publishedLetters(ctx context.Context) (auditedLetters, error) {
	letters := auditedLetters{}
	for after := uuid.Nil; ; {
		page, err := p.Store.PublishedLetters(ctx, after, auditPage)
		if err != nil {
			return nil, err
		}
		for _, letter := range page {
			letters[letter.ID] = &auditedLetter{PublishedLetter: letter}
			after = letter.ID
		}
		if len(page) < auditPage {
			return letters, nil
		}
	}
}

// has reports whether the subject is of one of the letters, and notes that it was found. The subjects of a letter that was
// settled are purged with the next update.
func (a auditedLetters) has(subject string) bool {
	name, ok := bus.ParseLetterSubject(subject)
	if !ok {
		return false
	}
	id, err := uuid.Parse(name.Letter)
	if err != nil {
		return false
	}
	letter := a[id]
	if letter == nil {
		return false
	}
	if letter.State == string(store.LettersSettled) {
		return true
	}
	if name != (bus.LetterSubject{Waiting: letter.State == stateWaiting, Kind: letter.Kind, Customer: letter.Customer, Letter: id.String()}) {
		return false
	}
	letter.found = true
	return true
}

func (a auditedLetters) missing() (letters []store.PublishedLetter) {
	for _, letter := range a {
		if !letter.found && letter.State != string(store.LettersSettled) {
			letters = append(letters, letter.PublishedLetter)
		}
	}
	return letters
}

func (p *Publisher) publishAgain(ctx context.Context, letters []store.PublishedLetter) error {
	for len(letters) > 0 {
		part := letters[:min(auditPage, len(letters))]
		letters = letters[len(part):]
		n, err := p.Store.PublishAgain(ctx, part)
		if err != nil {
			return err
		}
		p.Metrics.changed(changePublishedAgain, int(n))
		p.Logger.Info("letters are published again, because their messages were gone", zap.Int64("letters", n))
	}
	return nil
}

// purgeUnexpected purges a subject that no open letter has. It locks the letter meanwhile, so that no publisher publishes
// it there. A retry subject is purged only up to the message that dlq-retry has handled: what follows may be a request.
func (p *Publisher) purgeUnexpected(ctx context.Context, subject string, handled uint64) error {
	name, _ := bus.ParseLetterSubject(subject)
	purge := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, batchTimeout)
		defer cancel()
		p.Metrics.changed(changeOrphanPurged, 1)
		p.Logger.Info("subject purged that no open letter has", zap.String("subject", subject))
		if name.Waiting {
			return p.purgeHandled(ctx, subject, handled)
		}
		return bus.PurgeSubject(ctx, p.stream, subject)
	}
	id, err := uuid.Parse(name.Letter)
	if err != nil {
		return purge(ctx)
	}
	return p.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case letter.Open() && subjectOf(letter, isWaiting(letter)) == subject:
			return nil // it is published there by now
		}
		return purge(ctx)
	})
}

// purgeHandled purges what dlq-retry has handled on these subjects.
func (p *Publisher) purgeHandled(ctx context.Context, subjects string, handled uint64) error {
	if handled == 0 {
		return nil
	}
	if err := p.stream.Purge(ctx, jetstream.WithPurgeSubject(subjects), jetstream.WithPurgeSequence(handled+1)); err != nil {
		return fmt.Errorf("purge %s: %w", subjects, err)
	}
	return nil
}

// handledUpTo returns the sequence up to which dlq-retry has handled all messages, 0 if it has handled none.
func (p *Publisher) handledUpTo(ctx context.Context) (uint64, error) {
	consumer, err := p.stream.Consumer(ctx, bus.DurableDLQRetry)
	if err != nil {
		return 0, fmt.Errorf("look up consumer: %w", err)
	}
	info := consumer.CachedInfo()
	// The number of pending messages does not tell: the server acknowledges a publish before the consumer knows of it.
	newest, err := p.stream.GetLastMsgForSubject(ctx, bus.Retries)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the newest message: %w", err)
	}
	if info.NumAckPending == 0 && info.Delivered.Stream >= newest.Sequence {
		return newest.Sequence, nil
	}
	return info.AckFloor.Stream, nil
}
