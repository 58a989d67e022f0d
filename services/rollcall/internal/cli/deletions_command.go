package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

const flagEntity = "entity"

// deletionsPage is the most runs, or users of a run, that the service gives in one page.
const deletionsPage = 200

func (a *app) deletions() *cobra.Command {
	command := &cobra.Command{
		Use:     "deletions",
		Aliases: []string{"deletion"},
		Short:   "Look at deletion scans, approve or reject held ones, and undo deletions",
		Long: `A deletion scan reads all of a customer's users each week, and deletes at the destination those that VOMO deleted: users that
the complete list does not show and that VOMO does not find by id either. A scan that would delete unusually many users is held
until an operator approves it.

With --entity gift, a scan reads the ids of all gifts that Virtuous has, and marks those as deleted that it does not list and does not find by
id either. It is held if unusually many gifts are missing.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: deletions ls, show, scan, approve, reject or undo")
		},
	}
	var entity string
	command.PersistentFlags().StringVar(&entity, flagEntity, operatorapi.EntityUser, "what was deleted: user or gift; ls without it lists both")
	command.AddCommand(
		a.deletionsLs(&entity), a.deletionsShow(&entity), a.deletionsScan(&entity), a.deletionsApprove(&entity), a.deletionsReject(&entity),
		a.deletionsUndo(&entity),
	)
	return command
}

func (a *app) deletionsLs(entity *string) *cobra.Command {
	var listed listFlags
	command := &cobra.Command{
		Use:     "ls [customer]",
		Aliases: []string{"list"},
		Short:   "List deletion scans, newest first",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			rows, err := listed.rows()
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			question := operatorapi.DeletionsQuestion{CustomerID: oneCustomer(args)}
			if command.Flags().Changed(flagEntity) {
				question.Entity = *entity
			}
			runs, err := listDeletions(command.Context(), on, question, rows)
			if err != nil {
				return customerError(oneCustomer(args), err)
			}
			if a.json {
				return a.document(runs)
			}
			return printList(a, listing[operatorapi.DeletionRun]{
				columns: []any{"RUN", "CUSTOMER", "ENTITY", "STATE", "KNOWN", "SCANNED", "MISSING", "CONFIRMED", "DELETED", "FAILED", "STARTED"},
				items:   runs.Deletions, row: deletionRow, none: "There is no deletion scan yet.", more: runs.Next != nil,
			})
		},
	}
	listed.add(command)
	return command
}

func listDeletions(ctx context.Context, on *link, question operatorapi.DeletionsQuestion, rows int) (operatorapi.DeletionsReply, error) {
	whole := operatorapi.DeletionsReply{Deletions: []operatorapi.DeletionRun{}}
	err := paged[operatorapi.DeletionsQuestion, operatorapi.DeletionsReply, int64]{
		noun: "deletions", verb: "ls", rows: rows, atOnce: deletionsPage,
		question: func(at int64, rows int32) operatorapi.DeletionsQuestion {
			question.Before, question.Limit = at, rows
			return question
		},
		take: func(page operatorapi.DeletionsReply) (int, *int64, error) {
			whole.Deletions, whole.Next = append(whole.Deletions, page.Deletions...), page.Next
			return len(page.Deletions), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func deletionRow(run operatorapi.DeletionRun) []any {
	return []any{
		run.ID, run.CustomerID, run.Entity, run.State, humanize.Comma(run.Mapped), humanize.Comma(run.Scanned), humanize.Comma(run.Missing),
		humanize.Comma(run.Confirmed), humanize.Comma(run.Deleted), humanize.Comma(run.Failed), moment(run.StartedAt),
	}
}

func (a *app) deletionsShow(entity *string) *cobra.Command {
	var listed listFlags
	var run int64
	var state string
	command := &cobra.Command{
		Use:   "show <customer>",
		Short: "Show a deletion scan and the users or gifts that the list did not show",
		Long: `Shows the customer's deletion scan that is not ended, otherwise the newest, or the one of --run: why it is held, and each
user at the destination that VOMO's list did not show, with its address and what VOMO answered about it. With --entity gift: each known gift
that Virtuous' list did not show, by its id.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			rows, err := listed.rows()
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			shown, err := showDeletion(command.Context(), on, operatorapi.DeletionQuestion{
				CustomerID: args[0], Entity: *entity, RunID: run, State: state,
			}, rows)
			if err != nil {
				return customerError(args[0], err)
			}
			if a.json {
				return a.document(shown)
			}
			return a.printDeletion(shown)
		},
	}
	command.Flags().Int64Var(&run, "run", 0, "the run, as deletions ls names it")
	command.Flags().StringVar(&state, "state", "", "only users or gifts in this state: missing, confirmed, found, unknown, deleted, failed, undo or restored")
	listed.add(command)
	return command
}

// showDeletion joins the service's pages of a run's users.
func showDeletion(ctx context.Context, on *link, question operatorapi.DeletionQuestion, rows int) (operatorapi.DeletionShown, error) {
	whole := operatorapi.DeletionShown{Candidates: []operatorapi.DeletionCandidate{}}
	err := paged[operatorapi.DeletionQuestion, operatorapi.DeletionShown, string]{
		noun: "deletions", verb: "show", rows: rows, atOnce: deletionsPage,
		question: func(at string, rows int32) operatorapi.DeletionQuestion {
			question.After, question.Limit = at, rows
			if whole.ID != 0 {
				question.RunID = whole.ID // another run may have started since the first page
			}
			return question
		},
		take: func(page operatorapi.DeletionShown) (int, *string, error) {
			whole.DeletionRun, whole.Candidates, whole.Next = page.DeletionRun, append(whole.Candidates, page.Candidates...), page.Next
			return len(page.Candidates), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

// deletedRecords are what the commands call the records of an entity.
type deletedRecords struct{ source, record, option string }

func recordsOf(entity string) deletedRecords {
	if entity == operatorapi.EntityGift {
		return deletedRecords{source: "Virtuous", record: "gift", option: " --entity gift"}
	}
	return deletedRecords{source: "VOMO", record: "user"}
}

func (a *app) printDeletion(shown operatorapi.DeletionShown) error {
	records := recordsOf(shown.Entity)
	sayf(a.out, "Run %d of %s: %s, started %s. %s has %s; %s missing, %d confirmed, %d deleted, %d failed.", shown.ID, shown.CustomerID, shown.State,
		moment(shown.StartedAt), records.source, counted(shown.Scanned, records.record), humanize.Comma(shown.Missing), shown.Confirmed, shown.Deleted, shown.Failed)
	if shown.Text != nil {
		sayf(a.out, "%s", *shown.Text)
	}
	if shown.ExpiresAt != nil {
		sayf(a.out, "It waits for rollcall deletions approve%[1]s or reject%[1]s, until %[2]s.", records.option, moment(*shown.ExpiresAt))
	}
	if shown.Entity == operatorapi.EntityGift {
		return a.printMissingGifts(shown)
	}
	return printList(a, listing[operatorapi.DeletionCandidate]{
		columns: []any{"USER", "STATE", "CODE", "EMAIL", "VERSION OF", "ASKED", "DELETED"},
		items:   shown.Candidates, none: "No user is missing.", more: shown.Next != nil,
		row: func(one operatorapi.DeletionCandidate) []any {
			return []any{
				one.VomoID, one.State, textOr(one.Code, "-"), textOr(one.Email, "-"), momentOr(one.SourceUpdatedAt), momentOr(one.AskedAt), momentOr(one.DeletedAt),
			}
		},
	})
}

func (a *app) printMissingGifts(shown operatorapi.DeletionShown) error {
	return printList(a, listing[operatorapi.DeletionCandidate]{
		columns: []any{"GIFT", "STATE", "CODE", "ASKED", "DELETED"},
		items:   shown.Candidates, none: "No gift is missing.", more: shown.Next != nil,
		row: func(one operatorapi.DeletionCandidate) []any {
			return []any{candidateID(one), one.State, textOr(one.Code, "-"), momentOr(one.AskedAt), momentOr(one.DeletedAt)}
		},
	})
}

// candidateID returns the id of a user or gift.
func candidateID(one operatorapi.DeletionCandidate) string {
	if one.VirtuousGiftID != nil {
		return strconv.FormatInt(*one.VirtuousGiftID, 10)
	}
	return one.VomoID
}

func momentOr(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return moment(*at)
}

func (a *app) deletionsScan(entity *string) *cobra.Command {
	return &cobra.Command{
		Use:   "scan <customer>",
		Short: "Ask for a deletion scan at once, whatever the schedule says",
		Long: `Asks for a deletion scan of a customer at once, whatever the schedule says. It keeps out of the customer's quiet hours, and reads
all users. The command fails while a scan of the customer is held, and for a customer that is paused, switched off, or not through
its first backfill. With --entity gift it reads the ids of all gifts, in the turns of the customer's giving.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.commandDeletion(command.Context(), "scan", operatorapi.DeletionCommand{CustomerID: args[0], Entity: *entity})
		},
	}
}

func (a *app) deletionsApprove(entity *string) *cobra.Command {
	return a.deletionsDecide(entity, "approve", "Let a held deletion scan go on",
		`Lets a held deletion scan go on: VOMO is asked once more for each user, and those that it still does not have are deleted at the
destination. With --entity gift, Virtuous is asked for each missing gift. A scan that is held because the list is empty cannot be approved.`)
}

func (a *app) deletionsReject(entity *string) *cobra.Command {
	return a.deletionsDecide(entity, "reject", "End a held deletion scan without a deletion",
		`Ends a held deletion scan: nothing is deleted. The next scan begins by its schedule.`)
}

func (a *app) deletionsDecide(entity *string, verb, short, long string) *cobra.Command {
	var run int64
	command := &cobra.Command{
		Use:   verb + " <customer>",
		Short: short,
		Long:  long,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.commandDeletion(command.Context(), verb, operatorapi.DeletionCommand{CustomerID: args[0], Entity: *entity, RunID: run})
		},
	}
	command.Flags().Int64Var(&run, "run", 0, "only if this run is the held one")
	return command
}

func (a *app) commandDeletion(ctx context.Context, verb string, question operatorapi.DeletionCommand) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	done, err := ask[operatorapi.DeletionCommand, operatorapi.DeletionCommanded](ctx, on, "deletions", verb, question)
	if err != nil {
		return customerError(question.CustomerID, err)
	}
	if a.json {
		return a.document(done)
	}
	sayf(a.out, "%s", commandedDeletion(question, done))
	return nil
}

func commandedDeletion(question operatorapi.DeletionCommand, done operatorapi.DeletionCommanded) string {
	run, customer, records := "", question.CustomerID, recordsOf(question.Entity)
	if done.Deletion != nil {
		run = " " + strconv.FormatInt(done.Deletion.ID, 10)
	}
	switch done.Action {
	case operatorapi.DeletionScanRunning:
		return fmt.Sprintf("A deletion scan of %s is under way already.", customer)
	case operatorapi.DeletionApproved:
		return fmt.Sprintf("Deletion scan%s of %s approved: %s is asked for each missing %s. rollcall deletions show %s%s shows what comes of them.",
			run, customer, records.source, records.record, customer, records.option)
	case operatorapi.DeletionRejected:
		return fmt.Sprintf("Deletion scan%s of %s rejected: nothing was deleted.", run, customer)
	}
	return fmt.Sprintf("Deletion scan of %s requested: rollcall deletions ls %s%s shows it.", customer, customer, records.option)
}
