package letterapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// startDrain answers rollcall.api.drains.start: the letters that match now are worked in the background.
func (d *API) startDrain(ctx context.Context, question operatorapi.DrainStart) (operatorapi.Drain, error) {
	if err := invalid(question.Validate()); err != nil {
		return operatorapi.Drain{}, err
	}
	plan, err := report.PlanLetters(ctx, d.store, question.Command())
	if err != nil {
		return operatorapi.Drain{}, err
	}
	if plan.Count == 0 {
		return operatorapi.Drain{}, &service.ConflictError{Text: "no open letter matches: there is nothing to " + question.Verb}
	}
	filter := question.LettersFilter
	filter.AsOf = nil
	encoded, err := json.Marshal(filter)
	if err != nil {
		return operatorapi.Drain{}, fmt.Errorf("encode filter: %w", err)
	}
	var id int64
	err = d.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		id, err = tx.AddDrain(ctx, store.NewDrain{
			Customer: question.CustomerID, Verb: question.Verb, Filter: encoded, Note: question.Note, AsOf: plan.AsOf, Planned: plan.Count,
			Pace: question.PacePerMinute, AskedBy: service.Operator(ctx),
		})
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return operatorapi.Drain{}, &service.ConflictError{Text: "another drain of these letters is running: rollcall drain ls lists it; wait for it, or abort it"}
	}
	if err != nil {
		return operatorapi.Drain{}, err
	}
	d.logger.Info("drain started", append(filterFields(question.Command()), zap.Int64("drain", id), zap.String("verb", question.Verb),
		zap.Int64("planned", plan.Count), zap.Int32("pace_per_minute", question.PacePerMinute))...)
	d.drains.wakeUp()
	return d.drain(ctx, id)
}

func (d *API) drain(ctx context.Context, id int64) (operatorapi.Drain, error) {
	shown, err := report.ShowDrain(ctx, d.store.Conn, operatorapi.DrainQuestion{ID: id, Limit: 1})
	return shown.Drain, err
}

func (d *API) listDrains(ctx context.Context, question operatorapi.DrainsQuestion) (operatorapi.DrainsReply, error) {
	return report.Drains(ctx, d.store.Conn, question)
}

func (d *API) showDrain(ctx context.Context, question operatorapi.DrainQuestion) (operatorapi.DrainShown, error) {
	switch question.Outcome {
	case "", store.DrainItemDone, store.DrainItemLeft:
		return report.ShowDrain(ctx, d.store.Conn, question)
	}
	return operatorapi.DrainShown{}, &service.BadRequestError{Text: "the outcome of a letter is done or left"}
}

// abortDrain answers rollcall.api.drains.abort. A batch that is under way ends first: it has the drain's row locked whenever it changes letters.
func (d *API) abortDrain(ctx context.Context, command operatorapi.DrainCommand) (operatorapi.Drain, error) {
	drain, err := d.drain(ctx, command.ID)
	if err != nil {
		return drain, err
	}
	if command.CustomerID != "" && (drain.CustomerID == nil || *drain.CustomerID != command.CustomerID) {
		return operatorapi.Drain{}, fmt.Errorf("drain: %w", store.ErrNotFound)
	}
	err = d.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.EndDrain(ctx, command.ID, store.DrainAborted) })
	if errors.Is(err, store.ErrNotFound) {
		return operatorapi.Drain{}, &service.ConflictError{Text: fmt.Sprintf("drain %d has ended already", command.ID)}
	}
	if err != nil {
		return operatorapi.Drain{}, err
	}
	d.logger.Info("drain aborted", zap.Int64("drain", command.ID))
	d.changed() // the retrier waits for the end of a large drain
	return d.drain(ctx, command.ID)
}
