package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// customersPage is the most customers that the service gives in one page.
const customersPage = 100

func (a *app) customer() *cobra.Command {
	command := &cobra.Command{
		Use:     "customer",
		Aliases: []string{"customers"},
		Short:   "Look at customers, pause and resume them",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return usage("say which: customer ls, pause or resume") },
	}
	command.AddCommand(a.customerLs(), a.pause(), a.resume())
	return command
}

func (a *app) customerLs() *cobra.Command {
	return a.lister("List customers with how their mirrors stand", func(ctx context.Context, on *link, rows int) error {
		customers, err := listCustomers(ctx, on, rows)
		if err != nil {
			return err
		}
		if a.json {
			return a.document(customers)
		}
		return printList(a, listing[operatorapi.Customer]{
			columns: []any{"CUSTOMER", "ENABLED", "HEALTHY", "DESTINATION", "CADENCE", "POLLED", "BACKFILL", "USERS", "ONBOARDED", "LETTERS", "ALERTS"},
			items:   customers.Customers, row: func(customer operatorapi.Customer) []any { return customerRow(customer, customers.AsOf) },
			none: "There is no customer yet.", more: customers.Next != nil,
		})
	})
}

// listCustomers joins the service's pages.
func listCustomers(ctx context.Context, on *link, rows int) (operatorapi.CustomersReply, error) {
	whole := operatorapi.CustomersReply{Customers: []operatorapi.Customer{}}
	err := paged[operatorapi.CustomersQuestion, operatorapi.CustomersReply, string]{
		noun: "customers", verb: "ls", rows: rows, atOnce: customersPage,
		question: func(at string, rows int32) operatorapi.CustomersQuestion {
			return operatorapi.CustomersQuestion{After: at, Limit: rows}
		},
		take: func(page operatorapi.CustomersReply) (int, *string, error) {
			whole.Customers = append(whole.Customers, page.Customers...)
			whole.Next, whole.AsOf = page.Next, page.AsOf
			return len(page.Customers), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func customerRow(customer operatorapi.Customer, asOf time.Time) []any {
	alerts := strings.Join(customer.Alerts, ",")
	if alerts == "" {
		alerts = "-"
	}
	return []any{
		customer.CustomerID, enabledState(customer), healthy(customer.IsHealthy), customer.Destination.Kind + " " + customer.Destination.Host,
		fmt.Sprintf("%dm", customer.PollCadenceMinutes), ago(customer.LastPolledAt, asOf), shortBackfill(customer.Backfill),
		humanize.Comma(customer.UsersMirrored), moment(customer.OnboardedAt), humanize.Comma(customer.OpenLetters), alerts,
	}
}

// enabledState says whether the services work for a customer.
func enabledState(customer operatorapi.Customer) string {
	switch {
	case customer.OffboardedAt != nil:
		return "offboarded"
	case customer.Enabled && customer.PausedAt != nil:
		return "paused"
	}
	return yesNo(&customer.Enabled)
}

// healthy is short because a table has little room.
func healthy(value *bool) string {
	if value == nil {
		return "-"
	}
	return yesNo(value)
}

// ago says how long ago something was, by the clock that recorded it.
func ago(at *time.Time, asOf time.Time) string {
	if at == nil {
		return "-"
	}
	return seconds(int64(max(asOf.Sub(*at), 0)/time.Second)) + " ago"
}

// shortBackfill returns a run's state, and its progress if it is unfinished.
func shortBackfill(run *operatorapi.BackfillInShort) string {
	if run == nil {
		return "-"
	}
	shown := operatorapi.Backfill{State: run.State, ParkReason: run.ParkReason}
	text := stateText(shown)
	if open(shown) {
		text += " " + humanize.Comma(run.Processed)
		if run.Total != nil {
			text += "/" + humanize.Comma(*run.Total)
		}
	}
	return text
}

// pause is `rollcall pause` and `rollcall customer pause`.
func (a *app) pause() *cobra.Command {
	return &cobra.Command{
		Use:   "pause <customer>",
		Short: "Stop all work for a customer until it is resumed",
		Long: `Stops all work for a customer: no poll, no reconciliation, no backfill, no retry of a dead letter. The page that is
under way now is not committed. Everything stays where it stands until "rollcall resume"; no new token and no restart
lets it go on before. A backfill alone is stopped by "rollcall backfill pause".`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.commandCustomer(command.Context(), "pause", args[0])
		},
	}
}

// resume is `rollcall resume` and `rollcall customer resume`.
func (a *app) resume() *cobra.Command {
	return &cobra.Command{
		Use:   "resume <customer>",
		Short: "Let a paused customer go on from where it stood",
		Long: `Lets a paused customer go on from where it stood: what is unfinished goes on at its last committed page, and a poll
is made at once. A backfill that was paused by itself stays paused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.commandCustomer(command.Context(), "resume", args[0])
		},
	}
}

func (a *app) commandCustomer(ctx context.Context, verb, customer string) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	done, err := ask[operatorapi.CustomerCommand, operatorapi.CustomerCommanded](ctx, on, "customers", verb, operatorapi.CustomerCommand{CustomerID: customer})
	if err != nil {
		return customerError(customer, err)
	}
	if a.json {
		return a.document(done)
	}
	sayf(a.out, "%s: %s", customer, customerChange(done))
	return nil
}

// customerChange says what the service did, and what happens next.
func customerChange(done operatorapi.CustomerCommanded) string {
	switch done.Action {
	case operatorapi.CustomerPaused:
		return "paused; rollcall resume " + done.CustomerID + " lets it go on"
	case operatorapi.CustomerAlreadyPaused:
		return "was paused already, since " + when(done.PausedAt)
	case operatorapi.CustomerNotPaused:
		return "was not paused"
	case operatorapi.CustomerResumed:
		return "resumed; " + afterResume(done)
	}
	return done.Action // a newer service's
}

func afterResume(done operatorapi.CustomerCommanded) string {
	switch {
	case !done.Enabled:
		return "it is switched off, and goes on with a VOMO token that works: rollcall config set " + done.CustomerID + " --vomo-token-file <file>"
	case done.Backfill != nil && *done.Backfill == string(store.RunPaused):
		return "its backfill stays paused: rollcall backfill start " + done.CustomerID
	case done.Backfill != nil:
		return "its backfill goes on"
	case done.BackfillCompletedAt == nil:
		return "it has no backfill under way: rollcall backfill start " + done.CustomerID
	}
	return "it is polled at once"
}
