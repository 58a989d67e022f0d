package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// noContact is said if there is no contact of the platform with that reference.
const noContact = "has no such contact of the platform, or is not known: rollcall contact ls --status all lists them"

// listContactTransactions lists the platform's contacts.
func (a *app) listContactTransactions(ctx context.Context, asked operatorapi.ContactTransactionsQuestion, listed listFlags) error {
	rows, err := listed.rows()
	if err != nil {
		return err
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	whole := operatorapi.ContactTransactionsReply{Contacts: []operatorapi.ContactTransaction{}}
	err = paged[operatorapi.ContactTransactionsQuestion, operatorapi.ContactTransactionsReply, int64]{
		noun: "contacts", verb: "transactions", rows: rows, atOnce: operatorapi.MaxGiving,
		question: func(at int64, rows int32) operatorapi.ContactTransactionsQuestion {
			asked.Before, asked.Limit = at, rows
			return asked
		},
		take: func(page operatorapi.ContactTransactionsReply) (int, *int64, error) {
			whole.Contacts, whole.Next = append(whole.Contacts, page.Contacts...), page.Next
			return len(page.Contacts), page.Next, nil
		},
	}.ask(ctx, on)
	if err != nil {
		return customerError(asked.CustomerID, err)
	}
	if a.json {
		return a.document(whole)
	}
	return printList(a, listing[operatorapi.ContactTransaction]{
		columns: []any{"REFERENCE", "STATE", "SINCE", "ATTEMPTS", "CONTACT", "DIFFERS IN", "ERROR"},
		items:   whole.Contacts, none: "There is no such contact.", more: whole.Next != nil,
		row: func(one operatorapi.ContactTransaction) []any {
			return []any{
				one.ReferenceID, one.Status, moment(one.StatusAt), one.Attempts, virtuousID(one.VirtuousContactID), differsIn(one.Differences), text(one.LastError),
			}
		},
	})
}

func (a *app) showContactTransaction(ctx context.Context, customer, reference string) error {
	return askOne(ctx, a, customer, question[operatorapi.ContactTransactionQuestion, operatorapi.ContactTransaction]{
		noun: "contacts", verb: "transaction", unknown: noContact, print: a.printContactTransaction,
		of: operatorapi.ContactTransactionQuestion{CustomerID: customer, ReferenceID: reference},
	})
}

func (a *app) printContactTransaction(one operatorapi.ContactTransaction) error {
	lines := a.table()
	lines.row("contact "+one.ReferenceID, one.Status)
	lines.row("  source", one.TransactionSource)
	lines.row("  in this state since", moment(one.StatusAt))
	lines.row("  captured", moment(one.CreatedAt))
	lines.row("  attempts", one.Attempts)
	for _, at := range []struct {
		name string
		at   *time.Time
	}{
		{"changed on the platform", one.PlatformModifiedAt}, {"next attempt", one.NextAttemptAt}, {"attempt under way since", one.AttemptStartedAt},
		{"no answer since", one.UnansweredSince}, {"submitted", one.SubmittedAt}, {"looked up", one.LookedUpAt}, {"next lookup", one.NextLookupAt},
		{"confirmed", one.ConfirmedAt}, {"waits to be compared since", one.CompareWantedAt},
	} {
		if at.at != nil {
			lines.row("  "+at.name, moment(*at.at))
		}
	}
	if one.VirtuousContactID != nil {
		lines.row("  contact at Virtuous", *one.VirtuousContactID)
	}
	for _, said := range []struct {
		name string
		text *string
	}{
		{"found by", one.RecoveryPath}, {"review", one.ReviewReason}, {"error", one.LastError}, {"closed because", one.CloseReason},
	} {
		if said.text != nil {
			lines.row("  "+said.name, *said.text)
		}
	}
	for _, difference := range one.Differences {
		lines.row("  "+difference.Field, differenceText(difference))
	}
	return lines.end()
}

func (a *app) contactRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry <customer> <reference>",
		Short: "Send a contact of the platform again that failed, or that needs review",
		Long: `Sends the transaction of a contact again that Virtuous rejected, or of which there is no contact. One that needs review is looked up first.
To change what is sent, submit the contact with other content.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return a.decideContact(command.Context(), "retry", operatorapi.ContactTransactionQuestion{CustomerID: args[0], ReferenceID: args[1]})
		},
	}
}

func (a *app) contactClose() *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use:   "close <customer> <reference>",
		Short: "End the transaction of a contact that is pending, failed, or needs review",
		Long: `Ends the transaction of a contact of the platform: it is not sent any more. If an earlier attempt had no answer, the contact is looked up
first, and is confirmed if Virtuous has it. A newer version of the contact is sent.`,
		Example: `  rollcall contact close acme donor-310 --reason "discarded by staff"`,
		Args:    cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usage("--reason is missing: it is kept with the contact, so name no person in it")
			}
			return a.decideContact(command.Context(), "close",
				operatorapi.ContactTransactionQuestion{CustomerID: args[0], ReferenceID: args[1], Reason: reason})
		},
	}
	command.Flags().StringVar(&reason, "reason", "", "`why`, without a person's name (required)")
	return command
}

// decideContact retries or closes a contact.
func (a *app) decideContact(ctx context.Context, verb string, asked operatorapi.ContactTransactionQuestion) error {
	return askOne(ctx, a, asked.CustomerID, question[operatorapi.ContactTransactionQuestion, operatorapi.ContactTransaction]{
		noun: "contacts", verb: verb, of: asked, unknown: noContact,
		print: func(one operatorapi.ContactTransaction) error {
			said := one.Status
			if one.Status == store.DonationConfirmed {
				said += ": Virtuous has it"
			}
			sayf(a.out, "%s: contact %s is %s", asked.CustomerID, one.ReferenceID, said)
			return nil
		},
	})
}

func (a *app) contactSubmit() *cobra.Command {
	return &cobra.Command{
		Use:   "submit <customer> <file>",
		Short: "Publish a contact from a file; - is standard input",
		Long: `Publishes a contact, as a platform does. The file has one JSON object with the fields that docs/giving.md lists; customerId may be left out.
The contact is validated when it is captured: rollcall contact show --reference and rollcall dlq ls --kind contact say what became of it.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return a.submitFile(command.Context(), submission{noun: "contact", subject: bus.SubjectContact(args[0])}, args[0], args[1])
		},
	}
}
