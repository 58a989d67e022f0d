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

func (a *app) donation() *cobra.Command {
	command := &cobra.Command{
		Use:   "donation",
		Short: "See how donations into Virtuous stand, and decide about those that do not arrive",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: donation ls, show, retry, close or submit")
		},
	}
	command.AddCommand(a.donationLs(), a.donationShow(), a.donationRetry(), a.donationClose(), a.donationSubmit())
	return command
}

func (a *app) donationLs() *cobra.Command {
	var listed listFlags
	var status string
	command := &cobra.Command{
		Use:     "ls <customer>",
		Aliases: []string{"list"},
		Short:   "List a customer's donations without their donors, newest first",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			found, err := a.listDonations(command.Context(), operatorapi.DonationsQuestion{CustomerID: args[0], State: status}, listed)
			if err != nil {
				return err
			}
			if a.json {
				return a.document(found)
			}
			return printList(a, listing[operatorapi.DonationShown]{
				columns: []any{"ID", "DONATION", "STATE", "SINCE", "ATTEMPTS", "GIFT", "ERROR"},
				items:   found.Donations, none: "There is no such donation.", more: found.Next != nil,
				row: func(one operatorapi.DonationShown) []any {
					return []any{
						one.ID, one.PlatformDonationID, one.Status, moment(one.StatusAt), one.Attempts, virtuousID(one.VirtuousGiftID), text(one.LastError),
					}
				},
			})
		},
	}
	listed.add(command)
	command.Flags().StringVar(&status, "status", "", "only donations in this `state`: pending, submitted, needs_review, confirmed, failed, closed")
	return command
}

// listDonations joins the pages of the service.
func (a *app) listDonations(ctx context.Context, asked operatorapi.DonationsQuestion, listed listFlags) (operatorapi.DonationsReply, error) {
	whole := operatorapi.DonationsReply{Donations: []operatorapi.DonationShown{}}
	rows, err := listed.rows()
	if err != nil {
		return whole, err
	}
	on, err := a.connect()
	if err != nil {
		return whole, err
	}
	defer on.close()
	err = paged[operatorapi.DonationsQuestion, operatorapi.DonationsReply, int64]{
		noun: "donations", verb: "ls", rows: rows, atOnce: operatorapi.MaxGiving,
		question: func(at int64, rows int32) operatorapi.DonationsQuestion {
			asked.Before, asked.Limit = at, rows
			return asked
		},
		take: func(page operatorapi.DonationsReply) (int, *int64, error) {
			whole.Donations, whole.Next = append(whole.Donations, page.Donations...), page.Next
			return len(page.Donations), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, customerError(asked.CustomerID, err)
}

// noDonation is said if there is no donation with that id.
const noDonation = "has no such donation, or is not known: rollcall donation ls lists them"

func (a *app) donationShow() *cobra.Command {
	var donors bool
	command := &cobra.Command{
		Use:   "show <customer> <platform donation id>",
		Short: "Show a donation; with --donors with its donor, which is audited",
		Args:  cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return askOne(command.Context(), a, args[0], question[operatorapi.DonationQuestion, operatorapi.DonationShown]{
				noun: "donations", verb: "show", unknown: noDonation, print: a.printDonation,
				of: operatorapi.DonationQuestion{CustomerID: args[0], PlatformDonationID: args[1], Donors: donors},
			})
		},
	}
	command.Flags().BoolVar(&donors, "donors", false, "show the donor and the amount, too; this is audited")
	return command
}

func (a *app) printDonation(one operatorapi.DonationShown) error {
	lines := a.table()
	lines.row("donation "+one.PlatformDonationID, one.Status)
	lines.row("  id", one.ID)
	lines.row("  source", one.TransactionSource)
	lines.row("  in this state since", moment(one.StatusAt))
	lines.row("  captured", moment(one.CreatedAt))
	lines.row("  attempts", one.Attempts)
	for _, at := range []struct {
		name string
		at   *time.Time
	}{
		{"next attempt", one.NextAttemptAt}, {"attempt under way since", one.AttemptStartedAt}, {"no answer since", one.UnansweredSince},
		{"submitted", one.SubmittedAt}, {"looked up", one.LookedUpAt}, {"next lookup", one.NextLookupAt}, {"confirmed", one.ConfirmedAt},
	} {
		if at.at != nil {
			lines.row("  "+at.name, moment(*at.at))
		}
	}
	if one.VirtuousGiftID != nil {
		lines.row("  gift", *one.VirtuousGiftID)
		lines.row("  contact", virtuousID(one.VirtuousContactID))
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
	if review := one.Review; review != nil {
		lines.row("  platform reference", text(review.PlatformReference))
		lines.row("  missing to match by", dashed(strings.Join(review.MissingSignals, ", ")))
		lines.row("  imports", text(review.ImportsURL))
		lines.row("  decisions", dashed(strings.Join(review.Decisions, ", ")))
		if donor := review.Donor; donor != nil {
			lines.row("  donor", donorLine(donor))
			lines.row("  amount", donor.Amount+" "+donor.CurrencyCode+" on "+donor.GiftDate)
		}
	}
	return lines.end()
}

func dashed(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func donorLine(donor *operatorapi.Donor) string {
	var parts []string
	for _, part := range []string{donor.Name, donor.Email, donor.Phone, donor.Address, donor.ReferenceID} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

func (a *app) donationRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry <customer> <platform donation id>",
		Short: "Send a donation again that failed, or that needs review",
		Long: `Sends a donation again that Virtuous rejected, or of which there is no gift. One that needs review is looked up first, and Virtuous keeps
one transaction of a donation. To change what is sent, submit the donation with other content.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return a.decideDonation(command.Context(), "retry", operatorapi.DonationQuestion{CustomerID: args[0], PlatformDonationID: args[1]})
		},
	}
}

func (a *app) donationClose() *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use:   "close <customer> <platform donation id>",
		Short: "End a donation that is pending, failed, or needs review",
		Long: `Ends a donation: it is not sent any more. If an earlier attempt had no answer, its gift is looked up first, and the donation is confirmed if
there is one. It is refused while an attempt is under way. If its gift is seen later, the donation is confirmed all the same.`,
		Example: `  rollcall donation close acme don-77120 --reason "entered by hand"`,
		Args:    cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usage("--reason is missing: it is kept with the donation, so name no person in it")
			}
			return a.decideDonation(command.Context(), "close",
				operatorapi.DonationQuestion{CustomerID: args[0], PlatformDonationID: args[1], Reason: reason})
		},
	}
	command.Flags().StringVar(&reason, "reason", "", "`why`, without a person's name (required)")
	return command
}

// decideDonation retries or closes a donation.
func (a *app) decideDonation(ctx context.Context, verb string, asked operatorapi.DonationQuestion) error {
	return askOne(ctx, a, asked.CustomerID, question[operatorapi.DonationQuestion, operatorapi.DonationShown]{
		noun: "donations", verb: verb, of: asked, unknown: noDonation,
		print: func(one operatorapi.DonationShown) error {
			said := one.Status
			if one.Status == store.DonationConfirmed {
				said += ": its gift was found"
			}
			sayf(a.out, "%s: donation %s is %s", asked.CustomerID, one.PlatformDonationID, said)
			return nil
		},
	})
}

func (a *app) donationSubmit() *cobra.Command {
	return &cobra.Command{
		Use:   "submit <customer> <file>",
		Short: "Publish a donation from a file; - is standard input",
		Long: `Publishes a donation, as a platform does. The file has one JSON object with the fields that docs/giving.md lists; customerId may be left
out. The donation is validated when it is captured: rollcall donation show and rollcall dlq ls --kind donation say what became of it.
The same donation again changes nothing.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return a.submitFile(command.Context(), submission{noun: "donation", subject: bus.SubjectDonation(args[0])}, args[0], args[1])
		},
	}
}
