package cli

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

// States of a user or gift that an operator asked for again, as the service names them.
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
		Use:   "undo <customer> [<id>…]",
		Short: "Bring deleted users or gifts back that VOMO or Virtuous still has",
		Long: `Reads users that a deletion scan deleted within the last 7 days from VOMO again: these, or all of --run. Those that VOMO has are
written to the destination, which brings them back. For those that VOMO does not have, nothing changes. The command waits until all
are read, and says what came of them. With --entity gift, gifts are read from Virtuous again, and those that it has are live again.`,
		Example: `  rollcall deletions undo acme 8205 8206
  rollcall deletions undo acme --run 17
  rollcall deletions undo acme --entity gift 4410`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if (len(args) == 1) == (run == 0) {
				return usage("name the %ss, or the run that deleted them: --run <id>", recordsOf(*entity).record)
			}
			question := operatorapi.UndoCommand{CustomerID: args[0], Entity: *entity, RunID: run}
			if *entity != operatorapi.EntityGift {
				question.VomoIDs = args[1:]
				return a.undo(command.Context(), question, !noWait)
			}
			for _, text := range args[1:] {
				id, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return usage("%q is no gift of Virtuous: its id is a number", text)
				}
				question.GiftIDs = append(question.GiftIDs, id)
			}
			return a.undo(command.Context(), question, !noWait)
		},
	}
	command.Flags().Int64Var(&run, "run", 0, "all users or gifts that this run deleted, as deletions ls names it")
	command.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until they are read")
	return command
}

// undone is what came of users or gifts that were asked for again.
type undone struct {
	operatorapi.UndoCommanded

	Restored   []string `json:"restored"`
	NotAtVOMO  []string `json:"notAtVomo"`  // VOMO, or Virtuous, does not have them either
	NotChanged []string `json:"notChanged"` // there was no clear answer: deletions show has the codes
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
	records := recordsOf(question.Entity)
	if !wait {
		sayf(a.out, "%s of %s are read again: rollcall deletions show %s%s --run <run> shows what comes of them.", counted(said.Users+said.Gifts, records.record),
			question.CustomerID, question.CustomerID, records.option)
		return nil
	}
	a.printUndone(result, records)
	return nil
}

func (a *app) printUndone(result undone, records deletedRecords) {
	sayf(a.out, "%s restored.", counted(len(result.Restored), records.record))
	if len(result.NotAtVOMO) > 0 {
		sayf(a.out, "%s does not have them either, so nothing changed: %s", records.source, strings.Join(result.NotAtVOMO, ", "))
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
	for _, id := range question.GiftIDs {
		wanted[strconv.FormatInt(id, 10)] = true
	}
	for _, run := range result.RunIDs {
		_, err := waiting[operatorapi.DeletionShown]{
			interval: a.askInterval(), timeout: on.Timeout, stored: true, note: a.sayLine, stopped: errors.New("stopped waiting; they are read all the same"),
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
		id := candidateID(one)
		switch {
		case len(wanted) > 0 && !wanted[id]:
		case one.State == candidateRestored:
			u.Restored = append(u.Restored, id)
		case one.Code == nil: // it was not asked for
		case *one.Code == codeNotFound:
			u.NotAtVOMO = append(u.NotAtVOMO, id)
		default:
			u.NotChanged = append(u.NotChanged, id)
		}
	}
}
