package giving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/reconciler/internal/deletion"
)

// Deletions answers what operators ask about searches for deleted gifts. It asks Virtuous nothing: the rounds do.
type Deletions struct {
	Store  *store.Store
	Logger *zap.Logger
	Wake   func(customers ...string) // has the rounds look at once
}

// Show returns a search with the gifts that it missed. There are ids only.
func (d *Deletions) Show(ctx context.Context, question operatorapi.DeletionQuestion) (operatorapi.DeletionShown, error) {
	after, err := checkQuestion(question)
	if err != nil {
		return operatorapi.DeletionShown{}, err
	}
	run, err := deletion.RunFor(ctx, d.Store, question.CustomerID, store.EntityGift, question.RunID)
	if err != nil {
		return operatorapi.DeletionShown{}, err
	}
	limit := deletion.PageOf(question.Limit)
	gifts, err := d.Store.MissingGifts(ctx, run.ID, store.CandidateState(question.State), after, limit)
	if err != nil {
		return operatorapi.DeletionShown{}, err
	}
	shown := operatorapi.DeletionShown{DeletionRun: deletion.ShownRun(run), Candidates: make([]operatorapi.DeletionCandidate, 0, len(gifts))}
	for _, one := range gifts {
		candidate := operatorapi.DeletionCandidate{VirtuousGiftID: &one.ID, State: string(one.State), AskedAt: one.AskedAt, DeletedAt: one.DeletedAt}
		if one.Code != "" {
			candidate.Code = &one.Code
		}
		shown.Candidates = append(shown.Candidates, candidate)
	}
	if len(gifts) == int(limit) {
		next := strconv.FormatInt(gifts[len(gifts)-1].ID, 10)
		shown.Next = &next
	}
	return shown, nil
}

// checkQuestion returns the gift behind which a page begins.
func checkQuestion(question operatorapi.DeletionQuestion) (after int64, err error) {
	states := []store.CandidateState{
		"", store.CandidateMissing, store.CandidateFound, store.CandidateUnknown, store.CandidateDeleted, store.CandidateUndo, store.CandidateRestored,
	}
	if !slices.Contains(states, store.CandidateState(question.State)) {
		return 0, &service.FieldsError{Errors: map[string][]string{"state": {"must be missing, found, unknown, deleted, undo or restored"}}}
	}
	if question.After != "" {
		if after, err = strconv.ParseInt(question.After, 10, 64); err != nil {
			return 0, &service.FieldsError{Errors: map[string][]string{"after": {"must be the id of a gift, as the page before has it in next"}}}
		}
	}
	return after, nil
}

// Scan asks for a search at once, whatever the schedule says.
func (d *Deletions) Scan(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error) {
	reply := operatorapi.DeletionCommanded{Action: operatorapi.DeletionScanStarted}
	err := d.command(ctx, command.CustomerID, func(ctx context.Context, tx *store.Tx) error {
		open, err := tx.LockOpenDeletionRun(ctx, command.CustomerID, store.EntityGift)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case open.State == store.DeletionHeld:
			return &service.ConflictError{Text: fmt.Sprintf("deletion scan %d is held: approve or reject it first", open.ID)}
		default:
			reply.Action = operatorapi.DeletionScanRunning
		}
		return Ask(ctx, tx, command.CustomerID, bus.CategoryGiftDeletions)
	})
	if err != nil {
		return operatorapi.DeletionCommanded{}, err
	}
	d.Logger.Info("an operator requested a search for deleted gifts", zap.String("customer", command.CustomerID), zap.String("action", reply.Action))
	return reply, nil
}

// command runs an operator's command in a transaction that holds the customer's setup, and has the rounds look.
func (d *Deletions) command(ctx context.Context, customer string, do func(ctx context.Context, tx *store.Tx) error) error {
	err := d.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		if _, err := tx.Customer(ctx, customer); err != nil {
			return err
		}
		config, err := tx.VirtuousConfig(ctx, customer)
		if errors.Is(err, store.ErrNotFound) || err == nil && !config.Enabled {
			return &service.ConflictError{Text: "the customer has no giving, or it is switched off"}
		}
		if err != nil {
			return err
		}
		return do(ctx, tx)
	})
	if err == nil {
		d.Wake(customer)
	}
	return err
}

// Approve has a held search go on: Virtuous is asked for each missing gift, and those that it does not have are marked as deleted.
func (d *Deletions) Approve(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error) {
	var run store.DeletionRun
	err := d.command(ctx, command.CustomerID, func(ctx context.Context, tx *store.Tx) error {
		held, err := deletion.LockHeld(ctx, tx, store.EntityGift, command)
		if err != nil {
			return err
		}
		if held.HeldFor == store.HeldEmptySource {
			return &service.ConflictError{Text: "Virtuous shows no gift at all, which is no proof that they were deleted: the key may have lost a right, or " +
				"belong to another organization. Reject the scan, and have the key looked at"}
		}
		if err := tx.DecideDeletionRun(ctx, held.ID, store.DeletionApproved, 0); err != nil {
			return err
		}
		if err := event.Clear(ctx, tx, command.CustomerID, event.AlertGiftDeletionsHeld, "An operator approved the deletions."); err != nil {
			return err
		}
		if run, err = tx.DeletionRun(ctx, held.ID); err != nil {
			return err
		}
		return Ask(ctx, tx, command.CustomerID, bus.CategoryGiftDeletions)
	})
	return d.decided(run, operatorapi.DeletionApproved, err)
}

// Reject ends a held search: no gift is marked.
func (d *Deletions) Reject(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error) {
	run, err := deletion.Reject(ctx, d.Store, store.EntityGift, command)
	return d.decided(run, operatorapi.DeletionRejected, err)
}

func (d *Deletions) decided(run store.DeletionRun, action string, err error) (operatorapi.DeletionCommanded, error) {
	if err != nil {
		return operatorapi.DeletionCommanded{}, err
	}
	d.Logger.Info("an operator decided about a held search for deleted gifts", zap.String("customer", run.Customer), zap.Int64("run", run.ID),
		zap.String("decision", action))
	shown := deletion.ShownRun(run)
	return operatorapi.DeletionCommanded{Action: action, Deletion: &shown}, nil
}

// Undo has gifts that a search marked as deleted read again. Those that Virtuous returns are live again.
func (d *Deletions) Undo(ctx context.Context, command operatorapi.UndoCommand) (operatorapi.UndoCommanded, error) {
	if (len(command.GiftIDs) == 0) == (command.RunID == 0) || len(command.GiftIDs) > deletion.MostIDs {
		return operatorapi.UndoCommanded{}, &service.BadRequestError{
			Text: fmt.Sprintf("name the gifts by virtuousGiftIds, at most %d, or the run that deleted them", deletion.MostIDs),
		}
	}
	reply := operatorapi.UndoCommanded{RunIDs: []int64{}, NotDeleted: []string{}}
	err := d.command(ctx, command.CustomerID, func(ctx context.Context, tx *store.Tx) error {
		if err := markUndone(ctx, tx, command, &reply); err != nil {
			return err
		}
		if reply.Gifts == 0 {
			return &service.ConflictError{Text: "none of these gifts was deleted by a scan within the last 7 days"}
		}
		return Ask(ctx, tx, command.CustomerID, bus.CategoryGiftDeletions)
	})
	if err != nil {
		return operatorapi.UndoCommanded{}, err
	}
	d.Logger.Info("an operator undid deletions of gifts", zap.String("customer", command.CustomerID), zap.Int64("gifts", reply.Gifts))
	return reply, nil
}

func markUndone(ctx context.Context, tx *store.Tx, command operatorapi.UndoCommand, reply *operatorapi.UndoCommanded) error {
	if command.RunID != 0 {
		var err error
		reply.Gifts, err = tx.UndoGiftRun(ctx, command.CustomerID, command.RunID, deletion.UndoWithin)
		reply.RunIDs = []int64{command.RunID}
		return err
	}
	undone, err := tx.UndoGifts(ctx, command.CustomerID, command.GiftIDs, deletion.UndoWithin)
	for _, one := range undone {
		if !slices.Contains(reply.RunIDs, one.RunID) {
			reply.RunIDs = append(reply.RunIDs, one.RunID)
		}
	}
	reply.Gifts = int64(len(undone))
	for _, id := range command.GiftIDs {
		if !slices.ContainsFunc(undone, func(one store.MissingGift) bool { return one.ID == id }) {
			reply.NotDeleted = append(reply.NotDeleted, strconv.FormatInt(id, 10))
		}
	}
	return err
}
