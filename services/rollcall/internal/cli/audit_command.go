package cli

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

func (a *app) audit() *cobra.Command {
	command := &cobra.Command{
		Use:   "audit",
		Short: "See who did what",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: audit ls") },
	}
	command.AddCommand(a.auditLs())
	return command
}

// auditFlags select acts.
type auditFlags struct{ customer, verb, by, since string }

func (a *app) auditLs() *cobra.Command {
	var asked auditFlags
	var listed listFlags
	command := &cobra.Command{
		Use:     "ls [customer]",
		Aliases: []string{"list"},
		Short:   "List what operators did, newest first",
		Long: `Lists what operators did by command, by API, or by messages that they published: who, when, what they asked for, and
the outcome. BY is the name that the caller gave (rollcall sends user@host, or ROLLCALL_OPERATOR), and in brackets the
NATS user, if the server names it. Texts that may be a secret or a person's are not kept: they are shown as …`,
		Example: `  rollcall audit ls acme --since 7d
  rollcall audit ls --verb letters --by ana@ops-1 --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			question, err := asked.question(oneCustomer(args), time.Now())
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
			acts, err := listActs(command.Context(), on, question, rows)
			if err != nil {
				return err
			}
			if a.json {
				return a.document(acts)
			}
			return printList(a, listing[operatorapi.Act]{
				columns: []any{"WHEN", "BY", "VIA", "VERB", "CUSTOMER", "OUTCOME", "ASKED", "RESULT"},
				items:   acts.Acts, row: actRow, none: "No act matches.", more: acts.Next != nil,
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&asked.customer, "customer", "", "acts on this `customer`")
	flags.StringVar(&asked.verb, "verb", "", "acts of this `verb`, such as letters.retry, or of all verbs of letters")
	flags.StringVar(&asked.by, "by", "", "acts of this `operator`")
	flags.StringVar(&asked.since, "since", "", "acts of the last `age`, such as 90m, 2h or 3d, or since a time such as 2026-11-20T22:00:00Z")
	listed.add(command)
	return command
}

// question returns the question for these flags; customer is the argument, or "".
func (f auditFlags) question(customer string, now time.Time) (operatorapi.ActsQuestion, error) {
	question := operatorapi.ActsQuestion{CustomerID: f.customer, Verb: f.verb, Operator: f.by}
	if customer != "" {
		if f.customer != "" && f.customer != customer {
			return question, usage("two customers are named, %q and --customer %q: name one", customer, f.customer)
		}
		question.CustomerID = customer
	}
	start, err := sinceFlag(f.since)
	if err != nil || start == nil {
		return question, err
	}
	since := start(now).UTC()
	question.Since = &since
	return question, nil
}

// listActs joins the service's pages.
func listActs(ctx context.Context, on *link, asked operatorapi.ActsQuestion, rows int) (operatorapi.ActsReply, error) {
	whole := operatorapi.ActsReply{Acts: []operatorapi.Act{}}
	err := paged[operatorapi.ActsQuestion, operatorapi.ActsReply, int64]{
		noun: "audit", verb: "ls", rows: rows, atOnce: operatorapi.MaxActs,
		question: func(at int64, rows int32) operatorapi.ActsQuestion {
			question := asked
			question.Before, question.Limit = at, rows
			return question
		},
		take: func(page operatorapi.ActsReply) (int, *int64, error) {
			whole.Acts, whole.Next = append(whole.Acts, page.Acts...), page.Next
			return len(page.Acts), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func actRow(act operatorapi.Act) []any {
	by := textOr(act.Operator, "-")
	if act.NATSUser != nil {
		by += " (" + *act.NATSUser + ")"
	}
	outcome := act.Outcome
	switch {
	case act.Code != nil:
		outcome += ", " + *act.Code
	case act.Outcome == store.ActBegun:
		outcome += ", its end was not noted"
	}
	return []any{moment(act.At), by, act.Via, act.Verb, textOr(act.CustomerID, "-"), outcome, pairs(act.Filter), pairs(act.Result)}
}

// pairs writes the fields of a JSON object in one line, without the customer, who has a column.
func pairs(object json.RawMessage) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return "-"
	}
	delete(fields, "customerId")
	shown := make([]string, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		shown = append(shown, name+"="+strings.Trim(string(fields[name]), `"`))
	}
	if len(shown) == 0 {
		return "-"
	}
	return strings.Join(shown, " ")
}
