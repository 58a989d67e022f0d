package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

func (a *app) contact() *cobra.Command {
	command := &cobra.Command{
		Use:   "contact",
		Short: "See contacts as Virtuous has them, and the platform's on their way into Virtuous",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: contact ls, show, retry, close, submit or applied")
		},
	}
	command.AddCommand(a.contactLs(), a.contactShow(), a.contactRetry(), a.contactClose(), a.contactSubmit(), a.contactApplied())
	return command
}

func (a *app) contactLs() *cobra.Command {
	var status string
	command := recordsLs(a, records[operatorapi.ContactsReply, operatorapi.Contact]{
		noun: "contacts", short: "List a customer's contacts without their names, the highest ids first, which is audited; with --status the platform's",
		instead: func(ctx context.Context, customer string, listed listFlags) (done bool, err error) {
			if status == "" {
				return false, nil
			}
			asked := operatorapi.ContactTransactionsQuestion{CustomerID: customer, State: status}
			if status == "all" {
				asked.State = ""
			}
			return true, a.listContactTransactions(ctx, asked, listed)
		},
		page: func(reply operatorapi.ContactsReply) ([]operatorapi.Contact, *int64) {
			return reply.Contacts, reply.Next
		},
		document: func(contacts []operatorapi.Contact, next *int64) any {
			return operatorapi.ContactsReply{Contacts: contacts, Next: next}
		},
		listing: listing[operatorapi.Contact]{
			columns: []any{"CONTACT", "STATE", "TYPE", "MERGED INTO", "MODIFIED", "LAST SEEN", "DIFFERS IN"}, none: "There is no contact.",
			row: func(one operatorapi.Contact) []any {
				return []any{
					one.VirtuousContactID, one.State, dashed(one.ContactType), virtuousID(one.MergedInto), momentOr(one.ModifiedAt), moment(one.LastSyncAt),
					differsIn(one.Differences),
				}
			},
		},
	})
	command.Flags().StringVar(&status, "status", "", "the platform's contacts in this `state`, newest first: pending, submitted, needs_review, confirmed, "+
		"failed, closed, or all")
	return command
}

func (a *app) contactShow() *cobra.Command {
	var isReference bool
	command := &cobra.Command{
		Use:   "show <customer> <contact id>",
		Short: "Show a contact with its names and addresses, which is audited; with --reference the platform's",
		Long: `Shows a contact as Virtuous has it, by its id there. With --reference, the id is the platform's referenceId, and what is shown is how that
contact stands on its way into Virtuous, without names. Both show the fields in which the two sides differ, what is done about each, and since when;
rollcall review show has the values of those in conflict.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			if isReference {
				return a.showContactTransaction(command.Context(), args[0], args[1])
			}
			id, err := recordID(args[1])
			if err != nil {
				return err
			}
			return askOne(command.Context(), a, args[0], question[operatorapi.RecordQuestion, operatorapi.Contact]{
				noun: "contacts", verb: "show", of: operatorapi.RecordQuestion{CustomerID: args[0], ID: id},
				unknown: "has no such contact, or is not known: rollcall contact ls lists them",
				print: func(one operatorapi.Contact) error {
					lines := a.table()
					lines.row(fmt.Sprintf("contact %d", one.VirtuousContactID), one.State)
					lines.row("  sync state", one.SyncState)
					lines.row("  merged into", virtuousID(one.MergedInto))
					lines.row("  modified", momentOr(one.ModifiedAt))
					lines.row("  last seen", moment(one.LastSyncAt))
					for _, of := range one.Platform {
						lines.row("  platform's "+of.ReferenceID, of.Status)
					}
					for _, one := range one.Differences {
						lines.row("  "+one.Field+" of platform's "+one.ReferenceID, differenceText(one))
					}
					printFields(lines, one.Fields)
					return lines.end()
				},
			})
		},
	}
	command.Flags().BoolVar(&isReference, "reference", false, "the id is the platform's referenceId")
	return command
}
