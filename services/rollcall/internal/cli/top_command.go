package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
)

const (
	// topInterval is how often the view asks. The service reads the customers anew every three seconds.
	topInterval = 2 * time.Second
	// topCustomers is the most customers that the service gives.
	topCustomers = 100
)

func (a *app) top() *cobra.Command {
	var once bool
	command := &cobra.Command{
		Use:   "top",
		Short: "Watch all customers, the worst first, with the rates and the queues",
		Long: `Shows the customers that do worst, what their runs do in a minute, and what waits in the streams, and refreshes it every two seconds:

  q      end                      j, k   choose a customer
  p      stop refreshing, go on   enter  what is wrong with the chosen customer, and what helps; esc goes back

Without a terminal, or with --once or --json, it prints one snapshot.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			if a.json {
				// The answer is kept as it arrives: a newer service may send fields that this command does not know.
				raw, err := ask[report.BoardQuestion, json.RawMessage](command.Context(), on, "board", "show", report.BoardQuestion{Limit: topCustomers})
				if err != nil {
					return err
				}
				return a.document(raw)
			}
			board, err := askBoard(command.Context(), on)
			if err != nil {
				return err
			}
			if once || !a.StdoutTerminal {
				return a.printBoard(board)
			}
			return a.showTop(command.Context(), on, board)
		},
	}
	command.Flags().BoolVar(&once, "once", false, "print one snapshot")
	return command
}

func askBoard(ctx context.Context, on *link) (report.BoardReply, error) {
	return ask[report.BoardQuestion, report.BoardReply](ctx, on, "board", "show", report.BoardQuestion{Limit: topCustomers})
}

// showTop shows the live view until the operator ends it. A signal ends it, too, and is no error.
func (a *app) showTop(ctx context.Context, on *link, first report.BoardReply) error {
	model := newTopModel(a.topSource(ctx, on), first)
	// The terminal itself is given, because its size and mode are asked for.
	_, err := tea.NewProgram(model, tea.WithContext(ctx), tea.WithInput(a.Stdin), tea.WithOutput(a.out.to), tea.WithEnvironment(a.Environ),
		tea.WithoutSignalHandler()).Run()
	if err != nil && ctx.Err() == nil && !errors.Is(err, tea.ErrInterrupted) {
		return fmt.Errorf("show the view: %w", err)
	}
	return nil
}

func (a *app) topSource(ctx context.Context, on *link) topSource {
	return topSource{
		board: func() (report.BoardReply, error) { return askBoard(ctx, on) },
		status: func(customer string) (report.Status, error) {
			status, err := ask[report.StatusQuestion, report.Status](ctx, on, "status", "get", report.StatusQuestion{CustomerID: customer})
			if err != nil {
				return status, customerError(customer, err)
			}
			return status, nil
		},
		wait: func() error { return a.WaitFunc(ctx, topInterval) },
	}
}

// printBoard prints a snapshot.
func (a *app) printBoard(board report.BoardReply) error {
	sayf(a.out, "%s", boardHeading(board))
	sayf(a.out, "%s\n", ratesText(board.Rates))
	customers := a.table()
	customers.row(boardColumns()...)
	for _, customer := range board.Customers {
		customers.row(boardRow(customer)...)
	}
	if err := customers.end(); err != nil {
		return err
	}
	sayf(a.out, "")
	queues := a.table()
	queues.row("STREAM", "MESSAGES", "OLDEST")
	for _, queue := range board.Queues {
		queues.row(queue.Stream, humanize.Comma(int64(queue.Messages)), shortAge(queue.OldestSeconds)) //nolint:gosec // G115: no stream has as many
	}
	if board.Queues == nil {
		sayf(a.log, "JetStream does not answer: the streams are not known.")
	}
	if hidden := board.Count - len(board.Customers); hidden > 0 {
		sayf(a.log, "%s that do better are not shown: rollcall customer ls --all lists them.", counted(hidden, "customer"))
	}
	return queues.end()
}

// boardHeading counts the customers by their states.
func boardHeading(board report.BoardReply) string {
	var states []string
	for _, state := range report.States() {
		if count := board.States[state]; count > 0 {
			states = append(states, humanize.Comma(int64(count))+" "+state)
		}
	}
	heading := moment(board.AsOf) + "  " + counted(board.Count, "customer")
	if len(states) > 0 {
		heading += ": " + strings.Join(states, ", ")
	}
	return heading
}

func ratesText(rates report.BoardRates) string {
	if rates.Runs == 0 {
		return "no run under way"
	}
	return fmt.Sprintf("%s under way: %s records/min, %.1f of %.0f requests/min", counted(rates.Runs, "run"),
		humanize.Comma(int64(math.Round(rates.RecordsPerMinute))), rates.RequestsPerMinute, rates.RequestsAllowed)
}

func boardColumns() []any {
	return []any{"CUSTOMER", "STATE", "LAG", "BACKFILL", "LETTERS", "RECORDS/MIN", "REQUESTS/MIN", "REASON"}
}

func boardRow(customer report.BoardCustomer) []any {
	records, requests := "-", "-"
	if rates := customer.Rates; rates != nil {
		records = humanize.Comma(int64(math.Round(rates.RecordsPerMinute)))
		requests = fmt.Sprintf("%.1f of %.0f", rates.RequestsPerMinute, rates.RequestsAllowed)
	}
	return []any{
		customer.CustomerID, customer.State, shortAge(customer.LagSeconds), boardBackfill(customer.Backfill), humanize.Comma(customer.OpenLetters),
		records, requests, boardReason(customer),
	}
}

func shortAge(age *int64) string {
	if age == nil {
		return "-"
	}
	return seconds(*age)
}

// boardBackfill is shorter than in a list of customers: the reason has a column of its own.
func boardBackfill(run *operatorapi.BackfillInShort) string {
	if run == nil {
		return "-"
	}
	if !open(operatorapi.Backfill{State: run.State}) {
		return run.State
	}
	progress := humanize.Comma(run.Processed)
	if run.Total != nil {
		progress += "/" + humanize.Comma(*run.Total)
		if *run.Total > 0 {
			progress += fmt.Sprintf(" %d%%", min(100*run.Processed / *run.Total, 100))
		}
	}
	if run.EtaSeconds != nil {
		progress += " " + seconds(*run.EtaSeconds) + " left"
	}
	return run.State + " " + progress
}

func boardReason(customer report.BoardCustomer) string {
	if customer.Reason == nil {
		return "-"
	}
	if customer.Reasons > 1 {
		return fmt.Sprintf("%s (+%d)", customer.Reason.Code, customer.Reasons-1)
	}
	return customer.Reason.Code
}
