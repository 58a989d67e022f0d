package letterapi

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// Redriver publishes a message letter's message again and settles the letter, with what else belongs into the same transaction.
type Redriver interface {
	RedriveWith(ctx context.Context, id uuid.UUID, with func(ctx context.Context, tx *store.Tx) error) error
}

const (
	// batchFor is far below the time in which an answer must come.
	batchFor   = 2 * time.Second
	batchPause = 100 * time.Millisecond
)

// API answers what operators ask about letters. Each batch of a command is a transaction and a log line.
type API struct {
	store    *store.Store
	vault    *vault.Vault
	logger   *zap.Logger
	messages Redriver
	changed  func(customers ...string) // called after a commit that changed letters, with the customers whose letters are due now
	// batchFor is how long a batch may work before it is cut short, because the operator waits for an answer. clock measures
	// it, and pause waits for letters that a job has locked.
	batchFor time.Duration
	clock    func() time.Time
	pause    func(ctx context.Context) error
	drains   drains
}

// New returns the API of a service; Answer serves it.
func New(s *service.Service, messages Redriver, changed func(customers ...string)) *API {
	return &API{
		store: s.Store, vault: s.Vault, logger: s.Logger, messages: messages, changed: changed, batchFor: batchFor, clock: time.Now,
		pause: func(ctx context.Context) error { return backoff.Sleep(ctx, batchPause) }, drains: newDrains(),
	}
}

// Answer serves rollcall.api.letters.* and rollcall.api.drains.* until the service stops.
func (d *API) Answer(s *service.Service) error {
	return errors.Join(
		service.Answer(s, "letters", "ls", d.list),
		service.Answer(s, "letters", "export", d.export),
		service.Answer(s, "letters", "show", d.show),
		service.Answer(s, "letters", "payload", d.payload),
		service.Answer(s, "letters", "count", d.count),
		service.Answer(s, "letters", "retry", d.retry),
		service.Answer(s, "letters", "discard", d.discard),
		service.Answer(s, "drains", "start", d.startDrain),
		service.Answer(s, "drains", "ls", d.listDrains),
		service.Answer(s, "drains", "show", d.showDrain),
		service.Answer(s, "drains", "abort", d.abortDrain),
	)
}

func (d *API) list(ctx context.Context, question operatorapi.LettersQuestion) (operatorapi.LettersReply, error) {
	if err := invalid(question.Validate()); err != nil {
		return operatorapi.LettersReply{}, err
	}
	return report.Letters(ctx, d.store, question)
}

func (d *API) export(ctx context.Context, question operatorapi.LettersQuestion) (operatorapi.LettersExport, error) {
	if err := invalid(question.Validate()); err != nil {
		return operatorapi.LettersExport{}, err
	}
	return report.ExportLetters(ctx, d.store, question)
}

func (d *API) show(ctx context.Context, question operatorapi.LetterQuestion) (operatorapi.LetterShown, error) {
	shown, err := report.ShowLetter(ctx, d.store.Conn, question)
	if err != nil {
		return operatorapi.LetterShown{}, conflictIfAmbiguous(err)
	}
	shown.DestinationAnswer, err = d.destinationAnswer(ctx, shown.ID)
	return shown, err
}

func (d *API) count(ctx context.Context, command operatorapi.LettersCommand) (operatorapi.LettersPlanned, error) {
	if err := invalid(command.Validate()); err != nil {
		return operatorapi.LettersPlanned{}, err
	}
	if command.Verb != operatorapi.VerbRetry && command.Verb != operatorapi.VerbDiscard {
		return operatorapi.LettersPlanned{}, &service.BadRequestError{Text: "say what the letters are counted for: the verb retry or discard"}
	}
	return report.PlanLetters(ctx, d.store, command)
}

// invalid returns the errors of a question's fields, nil if there are none.
func invalid(errs map[string][]string) error {
	if len(errs) == 0 {
		return nil
	}
	return &service.FieldsError{Errors: errs}
}

// conflictIfAmbiguous tells the operator that a name means several letters.
func conflictIfAmbiguous(err error) error {
	if ambiguous, ok := errors.AsType[*report.AmbiguousLetterError](err); ok {
		return &service.ConflictError{Text: ambiguous.Error()}
	}
	return err
}
