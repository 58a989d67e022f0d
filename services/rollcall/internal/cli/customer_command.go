package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/report"
)

// customersPage is how many the service gives at once.
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
	return a.lister("List customers with how their mirrors stand", func(ctx context.Context, on *link, limit int, all bool) error {
		customers, err := listCustomers(ctx, on, limit, all)
		if err != nil {
			return err
		}
		if a.json {
			return a.document(customers)
		}
		return a.customerTable(customers)
	})
}

// listCustomers puts the service's pages together.
func listCustomers(ctx context.Context, on *link, limit int, all bool) (report.CustomersReply, error) {
	whole := report.CustomersReply{Customers: []report.Customer{}}
	after := ""
	for {
		size := customersPage
		if !all {
			size = min(size, limit-len(whole.Customers))
		}
		question := report.CustomersQuestion{After: after, Limit: int32(size)}
		page, err := ask[report.CustomersQuestion, report.CustomersReply](ctx, on, "customers", "ls", question)
		if err != nil {
			return whole, err
		}
		whole.Customers = append(whole.Customers, page.Customers...)
		whole.Next, whole.AsOf = page.Next, page.AsOf
		if page.Next == nil || (!all && len(whole.Customers) >= limit) {
			return whole, nil
		}
		after = *page.Next
	}
}

func (a *app) customerTable(list report.CustomersReply) error {
	if len(list.Customers) == 0 {
		sayf(a.log, "There is no customer yet.")
		return nil
	}
	columns := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	sayf(columns, "CUSTOMER\tENABLED\tHEALTHY\tDESTINATION\tCADENCE\tPOLLED\tBACKFILL\tUSERS\tONBOARDED\tLETTERS\tALERTS")
	for _, customer := range list.Customers {
		customerRow(columns, customer, list.AsOf)
	}
	if err := columns.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	if list.Next != nil {
		sayf(a.log, "There are more: --limit or --all shows them.")
	}
	return nil
}

func customerRow(to io.Writer, customer report.Customer, asOf time.Time) {
	alerts := strings.Join(customer.Alerts, ",")
	if alerts == "" {
		alerts = "-"
	}
	sayf(to, "%s\t%s\t%s\t%s %s\t%dm\t%s\t%s\t%s\t%s\t%s\t%s", customer.CustomerID, working(customer), healthy(customer.IsHealthy),
		customer.Destination.Kind, customer.Destination.Host, customer.PollCadenceMinutes, age(customer.LastPolledAt, asOf),
		inShort(customer.Backfill), grouped(customer.UsersMirrored), moment(customer.OnboardedAt), grouped(customer.OpenLetters), alerts)
}

// working says whether anything is done for a customer.
func working(customer report.Customer) string {
	switch {
	case customer.OffboardedAt != nil:
		return "offboarded"
	case customer.Enabled && customer.PausedAt != nil:
		return "paused"
	}
	return yesNo(&customer.Enabled)
}

// healthy is short: a table has no room for more.
func healthy(value *bool) string {
	if value == nil {
		return "-"
	}
	return yesNo(value)
}

// age is how long ago something was; by the clock of those who noted it.
func age(at *time.Time, asOf time.Time) string {
	if at == nil {
		return "-"
	}
	return seconds(int64(max(asOf.Sub(*at), 0)/time.Second)) + " ago"
}

// inShort is a run's state with its progress while it is unfinished.
func inShort(run *report.BackfillInShort) string {
	if run == nil {
		return "-"
	}
	shown := report.Backfill{State: run.State, ParkReason: run.ParkReason}
	text := standing(shown)
	if open(shown) {
		text += " " + grouped(run.Processed)
		if run.Total != nil {
			text += "/" + grouped(*run.Total)
		}
	}
	return text
}
