package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// runsPage is the most backfills that the service gives in one page.
const runsPage = 200

func (a *app) backfill() *cobra.Command {
	command := &cobra.Command{
		Use:   "backfill",
		Short: "Look at backfills, start, pause and cancel them",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: backfill ls, watch, start, pause or cancel")
		},
	}
	command.AddCommand(a.backfillLs(), a.backfillWatch(), a.backfillStart(), a.backfillPause(), a.backfillCancel())
	return command
}

func (a *app) backfillLs() *cobra.Command {
	return a.lister("List backfills, newest first", func(ctx context.Context, on *link, rows int) error {
		runs, err := listRuns(ctx, on, rows)
		if err != nil {
			return err
		}
		if a.json {
			return a.document(runs)
		}
		return printList(a, listing[operatorapi.Backfill]{
			columns: []any{"ID", "CUSTOMER", "STATE", "USERS", "OF", "FAILED", "PAGES/MIN", "LEFT", "CREATED"},
			items:   runs.Backfills, row: runRow, none: "There is no backfill yet.", more: runs.Next != nil,
		})
	})
}

// listRuns joins the service's pages.
func listRuns(ctx context.Context, on *link, rows int) (operatorapi.BackfillsReply, error) {
	whole := operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{}}
	err := paged[operatorapi.BackfillsQuestion, operatorapi.BackfillsReply, int64]{
		noun: "backfills", verb: "ls", rows: rows, atOnce: runsPage,
		question: func(at int64, rows int32) operatorapi.BackfillsQuestion {
			return operatorapi.BackfillsQuestion{Before: at, Limit: rows}
		},
		take: func(page operatorapi.BackfillsReply) (int, *int64, error) {
			whole.Backfills, whole.Next = append(whole.Backfills, page.Backfills...), page.Next
			return len(page.Backfills), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func runRow(run operatorapi.Backfill) []any {
	total, rate, left := "-", "-", "-"
	if run.Total != nil {
		total = humanize.Comma(*run.Total)
	}
	if run.RequestsPerMinute != nil {
		rate = fmt.Sprintf("%.1f", *run.RequestsPerMinute)
	}
	if run.EtaSeconds != nil {
		left = seconds(*run.EtaSeconds)
	}
	return []any{
		run.ID, run.CustomerID, stateUntil(run), humanize.Comma(run.Processed), total, humanize.Comma(run.Failures), rate, left, moment(run.CreatedAt),
	}
}

func open(run operatorapi.Backfill) bool { return store.RunState(run.State).Open() }

func (a *app) backfillStart() *cobra.Command {
	var rewrite bool
	command := &cobra.Command{
		Use:   "start <customer>",
		Short: "Read all users of a known customer again, or let a paused backfill go on",
		Long: `Queues a full resync of a known customer: it reads all users, and writes those whose version the destination does not
have. It is resumable like the first backfill, and a paused one goes on from where it stopped. The command fails while
another backfill is under way.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.commandBackfill(command.Context(), "start", operatorapi.BackfillCommand{CustomerID: args[0], Rewrite: rewrite})
		},
	}
	command.Flags().BoolVar(&rewrite, "rewrite", false, "write all users again, also those whose version is known: for a destination that lost records")
	return command
}

func (a *app) backfillPause() *cobra.Command {
	return &cobra.Command{
		Use:   "pause <customer>",
		Short: "Stop a customer's backfill at its last committed page",
		Long: `Stops a customer's backfill at its last committed page. Nothing wakes it, no request, no new token and no
restart, until "rollcall backfill start" does. A page that is under way now is not committed; it is read again then.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.commandBackfill(command.Context(), "pause", operatorapi.BackfillCommand{CustomerID: args[0]})
		},
	}
}

func (a *app) backfillCancel() *cobra.Command {
	var force bool
	command := &cobra.Command{
		Use:   "cancel <customer>",
		Short: "End a customer's backfill for good",
		Long: `Ends a customer's backfill for good: what is mirrored stays, and a new one begins at page 1. A customer whose
first backfill is cancelled is not backfilled. On a terminal it asks first; elsewhere it needs --force.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if !force {
				if !a.StdinTerminal {
					return usage("there is no terminal to ask on: --force cancels the backfill of %q without asking", args[0])
				}
				warning := fmt.Sprintf("The backfill of %q ends and cannot be resumed.", args[0])
				if err := a.confirmTyping(command.Context(), args[0], warning, "not cancelled"); err != nil {
					return err
				}
			}
			return a.commandBackfill(command.Context(), "cancel", operatorapi.BackfillCommand{CustomerID: args[0]})
		},
	}
	command.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return command
}

func (a *app) commandBackfill(ctx context.Context, verb string, question operatorapi.BackfillCommand) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	done, err := ask[operatorapi.BackfillCommand, operatorapi.BackfillCommanded](ctx, on, "backfills", verb, question)
	if err != nil {
		return customerError(question.CustomerID, err)
	}
	if a.json {
		return a.document(done)
	}
	sayf(a.out, "%s: backfill %d %s", question.CustomerID, done.Backfill.ID, strings.Join(consequences(done), "; "))
	return nil
}

// consequences says what the service did, and what happens next.
func consequences(done operatorapi.BackfillCommanded) []string {
	run := done.Backfill
	var said []string
	switch done.Action {
	case operatorapi.BackfillStarted:
		said = append(said, "queued")
		if run.Rewrite {
			said = append(said, "everybody is written again")
		} else if !done.NotBackfilled {
			said = append(said, "users whose version is known are skipped")
		}
		return said
	case operatorapi.BackfillResumed:
		return append(said, "goes on after "+counted(run.Processed, "user"))
	case operatorapi.BackfillPaused:
		said = append(said, "paused after "+counted(run.Processed, "user"))
	case operatorapi.BackfillAlreadyPaused:
		said = append(said, "was paused already")
	case operatorapi.BackfillCancelled:
		said = append(said, "cancelled after "+counted(run.Processed, "user"))
		if done.NotBackfilled {
			said = append(said, "the customer is not backfilled: only a part of its users is mirrored")
		}
		if done.RewriteUnfinished {
			said = append(said, "not everybody has been written to the destination again; the next backfill does the rest")
		}
	default: // a newer service's
		said = append(said, done.Action)
	}
	resumes := "begins a new one"
	if open(run) {
		resumes = "resumes it"
	}
	return append(said, "rollcall backfill start "+run.CustomerID+" "+resumes)
}
