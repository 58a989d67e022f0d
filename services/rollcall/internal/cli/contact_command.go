package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

func (a *app) contact() *cobra.Command {
	command := &cobra.Command{
		Use:   "contact",
		Short: "See contacts as Virtuous has them; this is audited",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: contact ls or contact show") },
	}
	command.AddCommand(a.contactLs(), a.contactShow())
	return command
}

func (a *app) contactLs() *cobra.Command {
	return recordsLs(a, records[operatorapi.ContactsReply, operatorapi.Contact]{
		noun: "contacts", short: "List a customer's contacts without their names, the highest ids first; this is audited",
		page: func(reply operatorapi.ContactsReply) ([]operatorapi.Contact, *int64) {
			return reply.Contacts, reply.Next
		},
		document: func(contacts []operatorapi.Contact, next *int64) any {
			return operatorapi.ContactsReply{Contacts: contacts, Next: next}
		},
		listing: listing[operatorapi.Contact]{
			columns: []any{"CONTACT", "STATE", "TYPE", "MERGED INTO", "MODIFIED", "LAST SEEN"}, none: "There is no contact.",
			row: func(one operatorapi.Contact) []any {
				return []any{
					one.VirtuousContactID, one.State, dashed(one.ContactType), virtuousID(one.MergedInto), momentOr(one.ModifiedAt), moment(one.LastSyncAt),
				}
			},
		},
	})
}

func (a *app) contactShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show <customer> <contact id>",
		Short: "Show a contact with its names and addresses; this is audited",
		Args:  cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
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
					printFields(lines, one.Fields)
					return lines.end()
				},
			})
		},
	}
}
