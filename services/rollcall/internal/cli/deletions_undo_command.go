package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

// States of a user that an operator asked for again, as the service names them.
const (
	candidateUndo     = "undo"
	candidateRestored = "restored"
	candidateDeleted  = "deleted"
	codeNotFound      = "source_not_found"
)

func (a *app) deletionsUndo(entity *string) *cobra.Command {
	var run int64
	var noWait bool
	command := &cobra.Command{
		Use:   "undo <customer> [<vomo id>…]",
		Short: "Bring deleted users back that VOMO still has",
		Long: `Reads users that a deletion scan deleted within the last 7 days from VOMO again: these, or all of --run. Those that VOMO has are
written to the destination, which brings them back. For those that VOMO does not have, nothing changes. The command waits until all
are read, and says what came of them.`,
		Example: `  rollcall deletions undo acme 8205 8206
  rollcall deletions undo acme --run 17`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			question := operatorapi.UndoCommand{CustomerID: args[0], Entity: *entity, VomoIDs: args[1:], RunID: run}
			if (len(question.VomoIDs) == 0) == (run == 0) {
				return usage("name the users, or the run that deleted them: --run <id>")
			}
			return a.undo(command.Context(), question, !noWait)
		},
	}
	command.Flags().Int64Var(&run, "run", 0, "all users that this run deleted, as deletions ls names it")
	command.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until the users are read")
	return command
}

// undone is what came of users that were asked for again.
type undone struct {
	operatorapi.UndoCommanded

	Restored   []string `json:"restored"`
	NotAtVOMO  []string `json:"notAtVomo"`  // VOMO does not have them either
	NotChanged []string `json:"notChanged"` // VOMO or the destination gave no clear answer: deletions show has the codes
}

func (a *app) undo(ctx context.Context, question operatorapi.UndoCommand, wait bool) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	said, err := ask[operatorapi.UndoCommand, operatorapi.UndoCommanded](ctx, on, "deletions", "undo", question)
	if err != nil {
		return customerError(question.CustomerID, err)
	}
	result := undone{UndoCommanded: said, Restored: []string{}, NotAtVOMO: []string{}, NotChanged: []string{}}
	if wait {
		if err := a.awaitUndone(ctx, on, question, &result); err != nil {
			return err
		}
	}
	if a.json {
		return a.document(result)
	}
	if len(said.NotDeleted) > 0 {
		sayf(a.out, "Not deleted by a scan within the last 7 days: %s", strings.Join(said.NotDeleted, ", "))
	}
	if !wait {
		sayf(a.out, "%s of %s are read again: rollcall deletions show %s --run <run> shows what comes of them.", counted(said.Users, "user"),
			question.CustomerID, question.CustomerID)
		return nil
	}
	a.printUndone(result)
	return nil
}

func (a *app) printUndone(result undone) {
	sayf(a.out, "%s restored.", counted(len(result.Restored), "user"))
	if len(result.NotAtVOMO) > 0 {
		sayf(a.out, "VOMO does not have them either, so nothing changed: %s", strings.Join(result.NotAtVOMO, ", "))
	}
	if len(result.NotChanged) > 0 {
		sayf(a.out, "No clear answer, so nothing changed: %s", strings.Join(result.NotChanged, ", "))
	}
}

// awaitUndone waits until none of the runs has a user that is still to be read, and collects what came of the users.
func (a *app) awaitUndone(ctx context.Context, on *link, question operatorapi.UndoCommand, result *undone) error {
	wanted := map[string]bool{}
	for _, id := range question.VomoIDs {
		wanted[id] = true
	}
	for _, run := range result.RunIDs {
		_, err := waiting[operatorapi.DeletionShown]{
			interval: a.askInterval(), timeout: on.timeout, stored: true, note: a.sayLine, stopped: errors.New("stopped waiting; the users are read all the same"),
			ask: func(ctx context.Context) (operatorapi.DeletionShown, error) {
				return showDeletion(ctx, on, operatorapi.DeletionQuestion{
					CustomerID: question.CustomerID, Entity: question.Entity, RunID: run, State: candidateUndo, WithoutEmail: true,
				}, 1)
			},
			done: func(shown operatorapi.DeletionShown) (bool, error) { return len(shown.Candidates) == 0, nil },
		}.answer(ctx, a)
		if err != nil {
			return err
		}
		for _, state := range []string{candidateRestored, candidateDeleted} {
			shown, err := showDeletion(ctx, on, operatorapi.DeletionQuestion{
				CustomerID: question.CustomerID, Entity: question.Entity, RunID: run, State: state, WithoutEmail: true,
			}, allRows)
			if err != nil {
				return customerError(question.CustomerID, err)
			}
			result.collect(shown.Candidates, wanted)
		}
	}
	return nil
}

// collect sorts users by what came of them; wanted is empty for all of a run.
func (u *undone) collect(candidates []operatorapi.DeletionCandidate, wanted map[string]bool) {
	for _, one := range candidates {
		switch {
		case len(wanted) > 0 && !wanted[one.VomoID]:
		case one.State == candidateRestored:
			u.Restored = append(u.Restored, one.VomoID)
		case one.Code == nil: // it was not asked for
		case *one.Code == codeNotFound:
			u.NotAtVOMO = append(u.NotAtVOMO, one.VomoID)
		default:
			u.NotChanged = append(u.NotChanged, one.VomoID)
		}
	}
}
