package main

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// messageRedriver publishes a message letter's message again and settles the letter.
type messageRedriver interface {
	redriveMessage(ctx context.Context, id uuid.UUID) error
}

// letterDesk does what operators ask for letters. Each batch of a command is a transaction, and a line in the log; who
// asked is not known.
type letterDesk struct {
	store    *store.Store
	vault    *vault.Vault
	logger   *zap.Logger
	messages messageRedriver
	asked    func(customers ...string) // called after a commit that asked for these customers' letters, or settled some
	// batchFor is how long a batch may work before it is cut short: whoever asked waits for an answer. clock says how
	// far it is, and pause waits for what a job has in hand.
	batchFor time.Duration
	clock    func() time.Time
	pause    func(ctx context.Context) error
}

const (
	// Well below what an answer may take.
	lettersBatchFor = 2 * time.Second
	lettersPause    = 100 * time.Millisecond
)

// newLetterDesk answers on the service's own clock.
func newLetterDesk(s *service.Service, redrive *redriver) *letterDesk {
	return &letterDesk{
		store: s.Store, vault: s.Vault, logger: s.Logger, messages: redrive, asked: redrive.asked, batchFor: lettersBatchFor, clock: time.Now,
		pause: func(ctx context.Context) error { return backoff.Sleep(ctx, lettersPause) },
	}
}

// answerLetters answers the noun that this service owns: letters.
func answerLetters(s *service.Service, desk *letterDesk) error {
	return errors.Join(
		service.Answer(s, "letters", "ls", desk.list),
		service.Answer(s, "letters", "export", desk.export),
		service.Answer(s, "letters", "show", desk.show),
		service.Answer(s, "letters", "payload", desk.payload),
		service.Answer(s, "letters", "count", desk.count),
		service.Answer(s, "letters", "retry", desk.retry),
		service.Answer(s, "letters", "discard", desk.discard),
	)
}

func (d *letterDesk) list(ctx context.Context, question report.LettersQuestion) (report.LettersReply, error) {
	if err := wellAsked(question.Validate()); err != nil {
		return report.LettersReply{}, err
	}
	return report.Letters(ctx, d.store, question)
}

func (d *letterDesk) export(ctx context.Context, question report.LettersQuestion) (report.LettersExport, error) {
	if err := wellAsked(question.Validate()); err != nil {
		return report.LettersExport{}, err
	}
	return report.ExportLetters(ctx, d.store, question)
}

func (d *letterDesk) show(ctx context.Context, question report.LetterQuestion) (report.LetterShown, error) {
	shown, err := report.ShowLetter(ctx, d.store.Conn, question)
	if err != nil {
		return report.LetterShown{}, named(err)
	}
	shown.DestinationAnswer, err = d.destinationAnswer(ctx, shown.ID)
	return shown, err
}

func (d *letterDesk) count(ctx context.Context, command report.LettersCommand) (report.LettersPlanned, error) {
	if err := wellAsked(command.Validate()); err != nil {
		return report.LettersPlanned{}, err
	}
	if command.Verb != report.VerbRetry && command.Verb != report.VerbDiscard {
		return report.LettersPlanned{}, &service.BadRequestError{Text: "say what the letters are counted for: the verb retry or discard"}
	}
	return report.PlanLetters(ctx, d.store, command)
}

func wellAsked(errs map[string][]string) error {
	if len(errs) == 0 {
		return nil
	}
	return &service.FieldsError{Errors: errs}
}

// named puts into words that a name means no one letter.
func named(err error) error {
	if ambiguous, ok := errors.AsType[*report.AmbiguousLetterError](err); ok {
		return &service.ConflictError{Text: ambiguous.Error()}
	}
	return err
}
