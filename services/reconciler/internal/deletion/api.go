package deletion

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vault"
)

const (
	// UndoWithin is how long after a deletion it can be undone.
	UndoWithin = 7 * 24 * time.Hour
	// MostIDs is how many records one command may name.
	MostIDs   = 1000
	usualPage = 50
	mostPage  = 200
)

// API answers what operators ask about deletion scans.
type API struct {
	Store  *store.Store
	Vault  *vault.Vault
	Logger *zap.Logger
	Kind   job.Kind
	Gifts  Gifts
}

// Gifts answers what operators ask about searches for deleted gifts.
type Gifts interface {
	Show(ctx context.Context, question operatorapi.DeletionQuestion) (operatorapi.DeletionShown, error)
	Scan(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error)
	Approve(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error)
	Reject(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error)
	Undo(ctx context.Context, command operatorapi.UndoCommand) (operatorapi.UndoCommanded, error)
}

// Answer serves rollcall.api.deletions.* until the service stops.
func (a *API) Answer(s *service.Service) error {
	return errors.Join(
		service.Answer(s, "deletions", "ls", a.list),
		service.Answer(s, "deletions", "show", a.show),
		service.Answer(s, "deletions", "scan", a.scan),
		service.Answer(s, "deletions", "approve", a.approve),
		service.Answer(s, "deletions", "reject", a.reject),
		service.Answer(s, "deletions", "undo", a.undo),
	)
}

func (a *API) list(ctx context.Context, question operatorapi.DeletionsQuestion) (operatorapi.DeletionsReply, error) {
	if err := checkEntity(question.Entity); err != nil {
		return operatorapi.DeletionsReply{}, err
	}
	if question.CustomerID != "" {
		if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
			return operatorapi.DeletionsReply{}, err
		}
	}
	limit := PageOf(question.Limit)
	runs, err := a.Store.DeletionRuns(ctx, question.CustomerID, question.Entity, cmp.Or(question.Before, math.MaxInt64), limit)
	reply := operatorapi.DeletionsReply{Deletions: make([]operatorapi.DeletionRun, 0, len(runs))}
	for _, run := range runs {
		reply.Deletions = append(reply.Deletions, ShownRun(run))
	}
	if len(runs) == int(limit) {
		reply.Next = &runs[len(runs)-1].ID
	}
	return reply, err
}

// PageOf returns how many rows a page has that was asked for with a limit.
func PageOf(limit int32) int32 {
	if limit <= 0 {
		return usualPage
	}
	return min(limit, mostPage)
}

// ShownRun returns a run as operators see it.
func ShownRun(run store.DeletionRun) operatorapi.DeletionRun {
	shown := operatorapi.DeletionRun{
		ID: run.ID, CustomerID: run.Customer, Entity: run.Entity, State: string(run.State), Mapped: run.Mapped, Scanned: run.Scanned,
		Missing: run.Missing, Confirmed: run.Confirmed, Deleted: run.Deleted, Failed: run.Failed, StartedAt: run.StartedAt,
		HeldAt: run.HeldAt, DecidedAt: run.DecidedAt, EndedAt: run.EndedAt,
	}
	if run.HeldFor != "" {
		count := run.Confirmed
		if isHeldUnasked(run.HeldFor) || run.Entity == store.EntityGift {
			count = run.Missing
		}
		text := HeldText(run.Entity, run.HeldFor, count, run.Mapped)
		shown.HeldFor, shown.Text = &run.HeldFor, &text
	}
	if run.State == store.DeletionHeld && run.HeldAt != nil {
		expires := run.HeldAt.Add(expireAfter)
		shown.ExpiresAt = &expires
	}
	return shown
}

func (a *API) show(ctx context.Context, question operatorapi.DeletionQuestion) (operatorapi.DeletionShown, error) {
	if question.Entity == operatorapi.EntityGift {
		return a.Gifts.Show(ctx, question)
	}
	if err := errors.Join(checkEntity(question.Entity), checkState(question.State)); err != nil {
		return operatorapi.DeletionShown{}, err
	}
	run, err := RunFor(ctx, a.Store, question.CustomerID, store.EntityUser, question.RunID)
	if err != nil {
		return operatorapi.DeletionShown{}, err
	}
	limit := PageOf(question.Limit)
	candidates, err := a.Store.Candidates(ctx, run.ID, store.CandidateState(question.State), question.After, limit)
	if err != nil {
		return operatorapi.DeletionShown{}, err
	}
	shown := operatorapi.DeletionShown{DeletionRun: ShownRun(run), Candidates: make([]operatorapi.DeletionCandidate, 0, len(candidates))}
	for _, one := range candidates {
		candidate := operatorapi.DeletionCandidate{
			VomoID: one.VomoID, State: string(one.State), SourceUpdatedAt: &one.UpdatedAt, AskedAt: one.AskedAt, DeletedAt: one.DeletedAt,
		}
		if one.Code != "" {
			candidate.Code = &one.Code
		}
		if !question.WithoutEmail {
			if candidate.Email, err = a.emailOf(ctx, run.Customer, one); err != nil {
				return operatorapi.DeletionShown{}, err
			}
		}
		if candidate.Email != nil {
			service.Disclosed(ctx)
		}
		shown.Candidates = append(shown.Candidates, candidate)
	}
	if len(candidates) == int(limit) {
		shown.Next = &candidates[len(candidates)-1].VomoID
	}
	return shown, nil
}

// RunFor returns a customer's run of an entity by its id, or the one that is not ended, or the newest.
func RunFor(ctx context.Context, from *store.Store, customer, entity string, id int64) (store.DeletionRun, error) {
	if _, err := from.Customer(ctx, customer); err != nil {
		return store.DeletionRun{}, err
	}
	if id != 0 {
		run, err := from.DeletionRun(ctx, id)
		if err == nil && (run.Customer != customer || run.Entity != entity) {
			err = store.ErrNotFound
		}
		return run, err
	}
	run, err := from.OpenDeletionRun(ctx, customer, entity)
	if !errors.Is(err, store.ErrNotFound) {
		return run, err
	}
	runs, err := from.DeletionRuns(ctx, customer, entity, math.MaxInt64, 1)
	if err != nil {
		return store.DeletionRun{}, err
	}
	if len(runs) == 0 {
		return store.DeletionRun{}, &service.ConflictError{Text: "the customer had no deletion scan yet"}
	}
	return runs[0], nil
}

// emailOf opens a candidate's address. It is nil if there is none, or if the key was destroyed or cannot be opened now: the rest is
// shown all the same.
func (a *API) emailOf(ctx context.Context, customer string, candidate store.Candidate) (*string, error) {
	plain, err := a.Vault.Open(ctx, customer, purposeCandidate, candidate.Sealed)
	if errors.Is(err, vault.ErrKeyGone) || errors.Is(err, vault.ErrUnavailable) {
		return nil, nil //nolint:nilnil // it cannot be read
	}
	if err != nil {
		return nil, fmt.Errorf("open candidate: %w", err)
	}
	var who identity
	if err := json.Unmarshal(plain, &who); err != nil {
		return nil, fmt.Errorf("read candidate: %w", err)
	}
	if who.Email == "" {
		return nil, nil //nolint:nilnil // it has none
	}
	return &who.Email, nil
}

// scan starts a scan at once, whatever the schedule says.
func (a *API) scan(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error) {
	if command.Entity == operatorapi.EntityGift {
		return a.Gifts.Scan(ctx, command)
	}
	reply := operatorapi.DeletionCommanded{Action: operatorapi.DeletionScanStarted}
	err := a.command(ctx, command.CustomerID, command.Entity, func(ctx context.Context, tx *store.Tx) error {
		open, err := tx.LockOpenDeletionRun(ctx, command.CustomerID, store.EntityUser)
		if err == nil && open.State == store.DeletionHeld {
			return &service.ConflictError{Text: fmt.Sprintf("deletion scan %d is held: approve or reject it first", open.ID)}
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		runs, err := start(ctx, tx, []string{command.CustomerID})
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			reply.Action = operatorapi.DeletionScanRunning
			if runs, err = tx.UnparkRuns(ctx, command.CustomerID, store.KindUserDeletions); err != nil {
				return err
			}
		}
		return a.Kind.Request(ctx, tx, runs)
	})
	if err != nil {
		return operatorapi.DeletionCommanded{}, err
	}
	a.Logger.Info("an operator requested a deletion scan", zap.String("customer", command.CustomerID), zap.String("action", reply.Action))
	return reply, nil
}

// command runs an operator's command in a transaction that holds the customer's setup.
func (a *API) command(ctx context.Context, customer, entity string, do func(ctx context.Context, tx *store.Tx) error) error {
	if err := checkEntity(entity); err != nil {
		return err
	}
	return a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		known, err := tx.Customer(ctx, customer)
		if err != nil {
			return err
		}
		if !known.Steady() {
			return &service.ConflictError{Text: "the customer is paused, switched off, offboarded, or not backfilled yet"}
		}
		return do(ctx, tx)
	})
}

func checkEntity(entity string) error {
	if entity != "" && entity != operatorapi.EntityUser && entity != operatorapi.EntityGift {
		return &service.FieldsError{Errors: map[string][]string{"entity": {"must be user or gift"}}}
	}
	return nil
}

// checkState rejects a state that no candidate has: the answer would look as if there were none.
func checkState(state string) error {
	switch store.CandidateState(state) {
	case "", store.CandidateMissing, store.CandidateConfirmed, store.CandidateFound, store.CandidateUnknown, store.CandidateDeleted,
		store.CandidateFailed, store.CandidateUndo, store.CandidateRestored:
		return nil
	}
	return &service.FieldsError{Errors: map[string][]string{
		"state": {"must be missing, confirmed, found, unknown, deleted, failed, undo or restored"},
	}}
}

// approve has a held run go on: VOMO is asked once more for each user, and those that it still does not have are deleted.
func (a *API) approve(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error) {
	if command.Entity == operatorapi.EntityGift {
		return a.Gifts.Approve(ctx, command)
	}
	var run store.DeletionRun
	err := a.command(ctx, command.CustomerID, command.Entity, func(ctx context.Context, tx *store.Tx) error {
		held, err := LockHeld(ctx, tx, store.EntityUser, command)
		if err != nil {
			return err
		}
		if held.HeldFor == store.HeldEmptySource {
			return &service.ConflictError{Text: "VOMO shows no user at all, which is no proof that they were deleted: the token may belong to another " +
				"organisation. If the customer has left VOMO, offboard it; otherwise reject the scan"}
		}
		runs, err := tx.StartRuns(ctx, store.RunStart{
			Kind: store.KindUserDeletions, Job: store.JobUserDeletions, Customers: []string{command.CustomerID}, TraceIDs: []string{telemetry.TraceParent(ctx)},
			AllUsers: true, Cursor: store.Cursor{Phase: store.PhaseAsk},
		})
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			return &service.ConflictError{Text: "deletions of this customer are being undone: ask again when that has ended"}
		}
		started, err := tx.OpenRun(ctx, command.CustomerID, store.KindUserDeletions)
		if err != nil {
			return err
		}
		if err := tx.DecideDeletionRun(ctx, held.ID, store.DeletionApproved, started.JobID); err != nil {
			return err
		}
		if err := event.Clear(ctx, tx, command.CustomerID, event.AlertDeletionsHeld, "An operator approved the deletions."); err != nil {
			return err
		}
		if run, err = tx.DeletionRun(ctx, held.ID); err != nil {
			return err
		}
		return a.Kind.Request(ctx, tx, runs)
	})
	return a.decided(run, operatorapi.DeletionApproved, err)
}

// reject ends a held run: nothing is deleted.
func (a *API) reject(ctx context.Context, command operatorapi.DeletionCommand) (operatorapi.DeletionCommanded, error) {
	if command.Entity == operatorapi.EntityGift {
		return a.Gifts.Reject(ctx, command)
	}
	if err := checkEntity(command.Entity); err != nil {
		return operatorapi.DeletionCommanded{}, err
	}
	run, err := Reject(ctx, a.Store, store.EntityUser, command)
	return a.decided(run, operatorapi.DeletionRejected, err)
}

// Reject ends a customer's held run of an entity.
func Reject(ctx context.Context, from *store.Store, entity string, command operatorapi.DeletionCommand) (run store.DeletionRun, err error) {
	if _, err := from.Customer(ctx, command.CustomerID); err != nil {
		return run, err
	}
	err = from.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := LockHeld(ctx, tx, entity, command)
		if err != nil {
			return err
		}
		if err := tx.DecideDeletionRun(ctx, held.ID, store.DeletionRejected, 0); err != nil {
			return err
		}
		if err := event.Clear(ctx, tx, command.CustomerID, alertHeld(entity), "An operator rejected the deletions."); err != nil {
			return err
		}
		run, err = tx.DeletionRun(ctx, held.ID)
		return err
	})
	return run, err
}

// LockHeld returns the customer's held run of an entity, locked.
func LockHeld(ctx context.Context, tx *store.Tx, entity string, command operatorapi.DeletionCommand) (store.DeletionRun, error) {
	run, err := tx.LockOpenDeletionRun(ctx, command.CustomerID, entity)
	if errors.Is(err, store.ErrNotFound) || err == nil && (run.State != store.DeletionHeld || command.RunID != 0 && command.RunID != run.ID) {
		return run, &service.ConflictError{Text: "no such deletion scan of the customer is held"}
	}
	return run, err
}

func (a *API) decided(run store.DeletionRun, action string, err error) (operatorapi.DeletionCommanded, error) {
	if err != nil {
		return operatorapi.DeletionCommanded{}, err
	}
	a.Logger.Info("an operator decided about a held deletion scan", zap.String("customer", run.Customer), zap.Int64("run", run.ID),
		zap.String("decision", action))
	shown := ShownRun(run)
	return operatorapi.DeletionCommanded{Action: action, Deletion: &shown}, nil
}

// undo has deleted users read again. What VOMO still has is written.
func (a *API) undo(ctx context.Context, command operatorapi.UndoCommand) (operatorapi.UndoCommanded, error) {
	if command.Entity == operatorapi.EntityGift {
		return a.Gifts.Undo(ctx, command)
	}
	if (len(command.VomoIDs) == 0) == (command.RunID == 0) || len(command.VomoIDs) > MostIDs {
		return operatorapi.UndoCommanded{}, &service.BadRequestError{Text: fmt.Sprintf("name the users, at most %d, or the run that deleted them", MostIDs)}
	}
	reply := operatorapi.UndoCommanded{RunIDs: []int64{}, NotDeleted: []string{}}
	err := a.command(ctx, command.CustomerID, command.Entity, func(ctx context.Context, tx *store.Tx) error {
		if err := markUndone(ctx, tx, command, &reply); err != nil {
			return err
		}
		if reply.Users == 0 {
			return &service.ConflictError{Text: "none of these users was deleted by a scan within the last 7 days"}
		}
		runs, err := tx.StartRuns(ctx, store.RunStart{
			Kind: store.KindUserDeletions, Job: store.JobUserDeletions, Customers: []string{command.CustomerID}, TraceIDs: []string{telemetry.TraceParent(ctx)},
			AllUsers: true, Cursor: store.Cursor{Phase: store.PhaseUndo},
		})
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			under, err := tx.OpenRun(ctx, command.CustomerID, store.KindUserDeletions)
			if err != nil {
				return err
			}
			if under.Phase != store.PhaseUndo {
				return &service.ConflictError{Text: "a deletion scan of this customer is under way: ask again when it has ended"}
			}
		}
		return a.Kind.Request(ctx, tx, runs)
	})
	if err != nil {
		return operatorapi.UndoCommanded{}, err
	}
	a.Logger.Info("an operator undid deletions", zap.String("customer", command.CustomerID), zap.Int64("users", reply.Users))
	return reply, nil
}

func markUndone(ctx context.Context, tx *store.Tx, command operatorapi.UndoCommand, reply *operatorapi.UndoCommanded) error {
	if command.RunID != 0 {
		var err error
		reply.Users, err = tx.UndoRun(ctx, command.CustomerID, command.RunID, UndoWithin)
		reply.RunIDs = []int64{command.RunID}
		return err
	}
	undone, err := tx.UndoUsers(ctx, command.CustomerID, command.VomoIDs, UndoWithin)
	for _, one := range undone {
		if !slices.Contains(reply.RunIDs, one.RunID) {
			reply.RunIDs = append(reply.RunIDs, one.RunID)
		}
	}
	reply.Users = int64(len(undone))
	for _, id := range command.VomoIDs {
		if !slices.ContainsFunc(undone, func(one store.Candidate) bool { return one.VomoID == id }) {
			reply.NotDeleted = append(reply.NotDeleted, id)
		}
	}
	return err
}
