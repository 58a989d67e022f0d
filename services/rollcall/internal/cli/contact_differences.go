package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

// differsIn lists the fields in which a contact's two sides differ, with what is done about each.
func differsIn(differences []operatorapi.ContactDifference) string {
	fields := make([]string, 0, len(differences))
	for _, one := range differences {
		fields = append(fields, one.Field+" "+one.State)
	}
	return dashed(strings.Join(fields, ", "))
}

// differenceText says what is done about a field, and since when.
func differenceText(one operatorapi.ContactDifference) string {
	said := one.State
	if one.Reason != nil {
		said += " (" + *one.Reason + ")"
	}
	if one.OtherContactID != nil {
		said += fmt.Sprintf(", the address is also of contact %d", *one.OtherContactID)
	}
	return said + " since " + moment(one.Since)
}

func (a *app) contactApplied() *cobra.Command {
	var fields []string
	command := &cobra.Command{
		Use:   "applied <customer> <reference>",
		Short: "Note that the platform has Virtuous' values of a contact by now; this is audited",
		Long: `Settles the fields of a contact that wait for the platform (partner_pending), as the platform itself does with a message on
rollcall.giving.applied.<customer>. Without --field, all of them are meant. Fields in conflict stay: rollcall review ls --kind contact lists them.`,
		Example: "  rollcall contact applied acme donor-310\n  rollcall contact applied acme donor-310 --field email --field phone",
		Args:    cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return askOne(command.Context(), a, args[0], question[operatorapi.ContactAppliedQuestion, operatorapi.ContactApplied]{
				noun: "contacts", verb: "applied", unknown: noContact,
				of: operatorapi.ContactAppliedQuestion{CustomerID: args[0], ReferenceID: args[1], Fields: fields},
				print: func(done operatorapi.ContactApplied) error {
					if len(done.Fields) == 0 {
						sayf(a.out, "%s: nothing of contact %s waits for the platform", args[0], args[1])
						return nil
					}
					sayf(a.out, "%s: settled of contact %s: %s", args[0], args[1], strings.Join(done.Fields, ", "))
					return nil
				},
			})
		},
	}
	command.Flags().StringArrayVar(&fields, "field", nil, "only this `field`: name, email, phone, address; may be repeated")
	return command
}
