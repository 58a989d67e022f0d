package cli

import (
	"context"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

func (a *app) drain() *cobra.Command {
	command := &cobra.Command{
		Use:   "drain",
		Short: "Retry or discard many dead letters in the background",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: drain start, watch, ls, show or abort")
		},
	}
	command.AddCommand(a.drainStart(), a.drainWatch(), a.drainsLs(), a.drainsShow(), a.drainsAbort())
	return command
}

func (a *app) drainWatch() *cobra.Command {
	return &cobra.Command{
		Use:   "watch <id>",
		Short: "Follow a drain until it ends",
		Long: `Follows a drain until it ends: a bar on a terminal, a line for each change elsewhere. It exits 0 when the drain is done, 1 when it was
aborted. Stopping the command does not stop the drain.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := drainID(args[0])
			if err != nil {
				return err
			}
			on, err := a.connectForLetters()
			if err != nil {
				return err
			}
			defer on.close()
			return a.followDrain(command.Context(), on, id)
		},
	}
}

func (a *app) drainsLs() *cobra.Command {
	var customer string
	command := a.lister("List drains, newest first", func(ctx context.Context, on *link, rows int) error {
		drains, err := listDrains(ctx, on, customer, rows)
		if err != nil {
			return customerError(customer, err)
		}
		if a.json {
			return a.document(drains)
		}
		return printList(a, listing[operatorapi.Drain]{
			columns: []any{"ID", "CUSTOMER", "VERB", "STATE", "DONE", "LEFT", "OF", "PACE/MIN", "BY", "CREATED"}, items: drains.Drains, row: drainRow,
			none: "There is no drain yet.", more: drains.Next != nil,
		})
	})
	command.Flags().StringVar(&customer, "customer", "", "drains of this `customer` alone")
	return command
}

// listDrains joins the service's pages.
func listDrains(ctx context.Context, on *link, customer string, rows int) (operatorapi.DrainsReply, error) { //nolint:dupl // as links, of other types
	whole := operatorapi.DrainsReply{Drains: []operatorapi.Drain{}}
	err := paged[operatorapi.DrainsQuestion, operatorapi.DrainsReply, int64]{
		noun: "drains", verb: "ls", rows: rows, atOnce: operatorapi.MaxDrains,
		question: func(at int64, rows int32) operatorapi.DrainsQuestion {
			return operatorapi.DrainsQuestion{CustomerID: customer, Before: at, Limit: rows}
		},
		take: func(page operatorapi.DrainsReply) (int, *int64, error) {
			whole.Drains, whole.Next = append(whole.Drains, page.Drains...), page.Next
			return len(page.Drains), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func drainRow(drain operatorapi.Drain) []any {
	pace := "-"
	if drain.PacePerMinute != nil {
		pace = humanize.Comma(int64(*drain.PacePerMinute))
	}
	return []any{
		drain.ID, textOr(drain.CustomerID, "all"), drain.Verb, drain.State, humanize.Comma(drain.Done), humanize.Comma(drain.Left),
		humanize.Comma(drain.Planned), pace, drain.AskedBy, moment(drain.CreatedAt),
	}
}

func (a *app) drainsShow() *cobra.Command {
	var listed listFlags
	var outcome string
	command := &cobra.Command{
		Use:   "show <id>",
		Short: "Show a drain and its ledger: what became of each letter, newest first",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := drainID(args[0])
			if err != nil {
				return err
			}
			rows, err := listed.rows()
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			shown, err := showDrain(command.Context(), on, operatorapi.DrainQuestion{ID: id, Outcome: outcome}, rows)
			if err != nil {
				return drainError(id, err)
			}
			if a.json {
				return a.document(shown)
			}
			sayf(a.out, "%s\n", drainLine(shown.Drain))
			return printList(a, listing[operatorapi.DrainItem]{
				columns: []any{"LETTER", "CUSTOMER", "OUTCOME", "REASON", "AT"}, items: shown.Items, none: "No letter has been worked yet.",
				more: shown.Next != nil, row: func(item operatorapi.DrainItem) []any {
					return []any{item.LetterID, item.CustomerID, item.Outcome, textOr(item.Text, "-"), moment(item.At)}
				},
			})
		},
	}
	listed.add(command)
	command.Flags().StringVar(&outcome, "outcome", "", "letters with this `outcome`: done or left")
	return command
}

// showDrain joins the pages of a ledger.
func showDrain(ctx context.Context, on *link, question operatorapi.DrainQuestion, rows int) (operatorapi.DrainShown, error) {
	var whole operatorapi.DrainShown
	items := []operatorapi.DrainItem{}
	err := paged[operatorapi.DrainQuestion, operatorapi.DrainShown, int64]{
		noun: "drains", verb: "show", rows: rows, atOnce: operatorapi.MaxDrains,
		question: func(at int64, rows int32) operatorapi.DrainQuestion {
			question.Before, question.Limit = at, rows
			return question
		},
		take: func(page operatorapi.DrainShown) (int, *int64, error) {
			items = append(items, page.Items...)
			whole = page
			return len(page.Items), page.Next, nil
		},
	}.ask(ctx, on)
	whole.Items = items
	return whole, err
}

func (a *app) drainsAbort() *cobra.Command {
	return &cobra.Command{
		Use:   "abort <id>",
		Short: "End a running drain before its next batch",
		Long:  `Ends a running drain before its next batch. What it has done stays done; the other letters stay as they are.`,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := drainID(args[0])
			if err != nil {
				return err
			}
			on, err := a.connectForLetters()
			if err != nil {
				return err
			}
			defer on.close()
			drain, err := ask[operatorapi.DrainCommand, operatorapi.Drain](command.Context(), on, "drains", "abort", operatorapi.DrainCommand{ID: id})
			if err != nil {
				return drainError(id, err)
			}
			if a.json {
				return a.document(drain)
			}
			sayf(a.out, "%s", drainLine(drain))
			return nil
		},
	}
}

func drainID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, usage("%q is no drain: its id is a number, rollcall drain ls lists them", text)
	}
	return id, nil
}
