package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/store"
)

func (a *app) review() *cobra.Command {
	command := &cobra.Command{
		Use:   "review",
		Short: "Look at what waits for a person, and decide",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: review ls, review show or review resolve")
		},
	}
	command.AddCommand(a.reviewLs(), a.reviewShow(), a.reviewResolve())
	return command
}

func (a *app) reviewLs() *cobra.Command {
	var asked listFlags
	var kind string
	var settled, donors bool
	command := &cobra.Command{
		Use:     "ls [customer]",
		Aliases: []string{"list"},
		Short:   "List what waits for a person, oldest first",
		Example: "  rollcall review ls\n  rollcall review ls acme --kind contact\n  rollcall review ls acme --kind donation --donors",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if kind == kindDonation {
				return a.reviewDonations(command.Context(), oneCustomer(args), asked, donors, settled)
			}
			if donors {
				return usage("--donors is for --kind donation")
			}
			if !slices.Contains([]string{"", store.KindUser, store.KindContact, store.KindGift}, kind) {
				return usage("there are no items of kind %q: the kinds are user, donation, contact and gift", kind)
			}
			question := operatorapi.ReviewsQuestion{CustomerID: oneCustomer(args), Kind: kind, Settled: settled}
			if settled && question.CustomerID == "" {
				return usage("--settled needs a customer")
			}
			rows, err := asked.rows()
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			items, err := listReviews(command.Context(), on, question, rows)
			if err != nil {
				return customerError(question.CustomerID, err)
			}
			if a.json {
				return a.document(items)
			}
			return printList(a, listing[operatorapi.ReviewItem]{
				columns: []any{"ID", "CUSTOMER", "KIND", "RECORD", "REASON", "AGE", "STATE", "DECISIONS"},
				items:   items.Items, row: func(item operatorapi.ReviewItem) []any { return reviewRow(item, time.Now()) }, none: "Nothing waits for a person.",
			})
		},
	}
	asked.add(command)
	command.Flags().StringVar(&kind, "kind", "", "only items of this `kind`: user, donation, contact, gift")
	command.Flags().BoolVar(&donors, "donors", false, "with --kind donation: show the donors, too; this is audited")
	command.Flags().BoolVar(&settled, "settled", false, "also list items that were decided or superseded")
	return command
}

// listReviews joins the pages of the service.
func listReviews(ctx context.Context, on *link, question operatorapi.ReviewsQuestion, rows int) (operatorapi.ReviewsReply, error) {
	whole := operatorapi.ReviewsReply{Items: []operatorapi.ReviewItem{}}
	err := paged[operatorapi.ReviewsQuestion, operatorapi.ReviewsReply, int64]{
		noun: "review", verb: "ls", rows: rows, atOnce: operatorapi.MaxReviews,
		question: func(at int64, rows int32) operatorapi.ReviewsQuestion {
			question.After, question.Limit = at, rows
			return question
		},
		take: func(page operatorapi.ReviewsReply) (int, *int64, error) {
			whole.Items, whole.Next = append(whole.Items, page.Items...), page.Next
			return len(page.Items), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func reviewRow(item operatorapi.ReviewItem, now time.Time) []any {
	record := "-"
	if item.RecordID != nil {
		record = *item.RecordID
	}
	state := item.State
	if item.Decision != nil {
		state += " (" + *item.Decision + ")"
	}
	age := now.Sub(item.CreatedAt).Truncate(time.Minute)
	return []any{item.ID, item.CustomerID, item.Kind, record, item.Reason, age.String(), state, strings.Join(item.Decisions, ", ")}
}

func (a *app) reviewShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show <customer> <id>",
		Short: "Show what waits, with both sides' values; this is audited",
		Args:  cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := itemID(args[1])
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			shown, err := ask[operatorapi.ReviewQuestion, operatorapi.ReviewShown](command.Context(), on, "review", "show",
				operatorapi.ReviewQuestion{CustomerID: args[0], ItemID: id})
			if err != nil {
				return reviewError(args[0], id, err)
			}
			if a.json {
				return a.document(shown)
			}
			return a.printReview(shown)
		},
	}
}

func (a *app) printReview(shown operatorapi.ReviewShown) error {
	lines := a.table()
	lines.row(fmt.Sprintf("%s item %d", shown.CustomerID, shown.ID), shown.Reason)
	lines.row("  what", shown.Text)
	lines.row("  remedy", shown.Remedy)
	lines.row("  since", moment(shown.CreatedAt))
	lines.row("  state", shown.State)
	if shown.RecordID != nil {
		lines.row("  "+recordName(shown.Kind), *shown.RecordID)
	}
	for _, detail := range shown.Details {
		lines.row("  "+detail.Field, bothSides(shown.Kind, detail))
	}
	lines.row("  decisions", strings.Join(shown.Decisions, ", "))
	return lines.end()
}

// isGiving reports whether the two sides of an item are the platform and Virtuous.
func isGiving(kind string) bool { return kind == store.KindContact || kind == store.KindGift }

func recordName(kind string) string {
	if isGiving(kind) {
		return kind + " at Virtuous"
	}
	return "VOMO user"
}

func bothSides(kind string, detail operatorapi.ReviewDetail) string {
	switch {
	case isGiving(kind) && detail.Field == store.DetailOtherContact:
		return detail.Virtuous
	case isGiving(kind):
		return fmt.Sprintf("platform %q, Virtuous %q", detail.Partner, detail.Virtuous)
	}
	return fmt.Sprintf("external %q, VOMO %q", detail.External, detail.Vomo)
}

func (a *app) reviewResolve() *cobra.Command {
	var kind, reason string
	command := &cobra.Command{
		Use:   "resolve <customer> <id> <decision>",
		Short: "Decide what becomes of an item",
		Long: `Settles an item with one of the decisions that rollcall review show lists. Of a contact, take-partner has the platform's value written to
Virtuous within seconds, take-virtuous has the platform take Virtuous' value, and dismiss leaves both sides as they are.`,
		Example: "  rollcall review resolve acme 17 retry-with-vomo-email\n  rollcall review resolve acme 23 take-virtuous\n" +
			"  rollcall review resolve acme 4711 close --kind donation --reason 'entered by hand'",
		Args: cobra.ExactArgs(3),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := itemID(args[1])
			if err != nil {
				return err
			}
			if kind == kindDonation {
				return a.resolveDonation(command.Context(), args[0], id, args[2], reason)
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			item, err := ask[operatorapi.ReviewDecision, operatorapi.ReviewItem](command.Context(), on, "review", "resolve",
				operatorapi.ReviewDecision{CustomerID: args[0], ItemID: id, Decision: args[2]})
			if err != nil {
				return reviewError(args[0], id, err)
			}
			if a.json {
				return a.document(item)
			}
			sayf(a.out, "%s: item %d is %s: %s", item.CustomerID, item.ID, item.State, args[2])
			return nil
		},
	}
	command.Flags().StringVar(&kind, "kind", "", "the item's `kind`; needed for donation")
	command.Flags().StringVar(&reason, "reason", "", "with --kind donation and close: `why`, without a person's name")
	return command
}

func itemID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, usage("%q is no id of an item: rollcall review ls lists them", text)
	}
	return id, nil
}

// reviewError says that there is no such item, or no such customer.
func reviewError(customer string, id int64, err error) error {
	if operatorclient.IsUnknown(err) {
		return errors.New("customer " + strconv.Quote(customer) + " has no review item " + strconv.FormatInt(id, 10) + ": rollcall review ls lists them")
	}
	return err
}
