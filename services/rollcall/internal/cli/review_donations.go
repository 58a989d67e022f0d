package cli

import (
	"context"
	"strings"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// kindDonation is the kind of review items that are donations. They are rows of the donations themselves.
const kindDonation = "donation"

// reviewDonations lists donations that need review, the newest first.
func (a *app) reviewDonations(ctx context.Context, customer string, listed listFlags, donors, settled bool) error {
	switch {
	case customer == "":
		return usage("--kind donation needs a customer")
	case settled:
		return usage("--settled is not for --kind donation: rollcall donation ls --status closed or confirmed lists those")
	}
	found, err := a.listDonations(ctx, operatorapi.DonationsQuestion{CustomerID: customer, State: store.DonationNeedsReview, Donors: donors}, listed)
	if err != nil {
		return err
	}
	if a.json {
		return a.document(found)
	}
	columns := []any{"ID", "DONATION", "REFERENCE", "REASON", "AGE", "MISSING", "DECISIONS"}
	if donors {
		columns = append(columns, "DONOR")
	}
	imports := ""
	now := time.Now()
	err = printList(a, listing[operatorapi.DonationShown]{
		columns: columns, items: found.Donations, none: "No donation needs review.", more: found.Next != nil,
		row: func(one operatorapi.DonationShown) []any {
			review := one.Review
			if review == nil { // the key is gone, or the key service does not answer
				review = &operatorapi.DonationReview{}
			}
			if review.ImportsURL != nil {
				imports = *review.ImportsURL
			}
			since := one.StatusAt
			if one.SubmittedAt != nil {
				since = *one.SubmittedAt
			}
			row := []any{
				one.ID, one.PlatformDonationID, text(review.PlatformReference), text(one.ReviewReason), seconds(int64(now.Sub(since).Seconds())),
				dashed(strings.Join(review.MissingSignals, ", ")), dashed(strings.Join(review.Decisions, ", ")),
			}
			if donors && review.Donor != nil {
				row = append(row, donorLine(review.Donor)+"; "+review.Donor.Amount+" "+review.Donor.CurrencyCode+" on "+review.Donor.GiftDate)
			}
			return row
		},
	})
	if imports != "" {
		sayf(a.out, "Staff run imports at %s", imports)
	}
	return err
}

// resolveDonation decides about a donation that needs review.
func (a *app) resolveDonation(ctx context.Context, customer string, id int64, decision, reason string) error {
	switch decision {
	case "retry":
	case "close":
		if strings.TrimSpace(reason) == "" {
			return usage("--reason is missing: it is kept with the donation, so name no person in it")
		}
	default:
		return usage("a donation's decisions are retry and close, not %q", decision)
	}
	return a.decideDonation(ctx, decision, operatorapi.DonationQuestion{CustomerID: customer, ID: id, Reason: reason})
}
