package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/services/console/internal/access"
)

// submission is a donation or contact as a platform sends it. It is validated when it is captured, with one error for each wrong field, so the
// API passes it on as it is.
type submission json.RawMessage

// Schema says what a submission is.
func (submission) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: "The fields that docs/giving.md lists. customerId may be left out.",
	}
}

// UnmarshalJSON keeps the bytes.
func (s *submission) UnmarshalJSON(data []byte) error {
	*s = append((*s)[:0], data...)
	return nil
}

type submissionInput struct {
	OfCustomer

	Body submission
}

// closing says why a donation or contact is closed.
type closing struct {
	Reason string `json:"reason" minLength:"1" doc:"It is kept, so it must name no person."`
}

func (a *api) donationRoutes() {
	type DonationInput struct {
		OfCustomer

		Donation string `path:"donation" maxLength:"128" doc:"The platform's id of the donation."`
	}
	register(a, route{
		id: "submit-donation", method: http.MethodPost, path: "/customers/{customer}/donations", right: access.Donations, status: http.StatusAccepted,
		body: operatorclient.LongestSubmission, summary: "Submit a donation; the same one again changes nothing",
		description: "It is validated when it is captured: get-donation and the letters of kind donation say what became of it.",
	}, func(ctx context.Context, by caller, input *submissionInput) (operatorclient.Published, error) {
		return by.submit(ctx, input, bus.SubjectDonation(input.Customer))
	})
	register(a, route{
		id: "list-donations", method: http.MethodGet, path: "/customers/{customer}/donations", right: access.Read,
		summary: "List a customer's donations, newest first",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfCustomer

		State  string `query:"state" enum:"pending,submitted,needs_review,confirmed,failed,closed"`
		Donors bool   `query:"donors" doc:"With donors and amounts, which is audited; needs the right donors."`
	},
	) (Page[operatorapi.DonationShown], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.DonationShown]{}, err
		}
		if input.Donors && !by.principal.May(access.Donors) {
			return Page[operatorapi.DonationShown]{}, forbidden(by.principal, access.Donors)
		}
		found, err := ask[operatorapi.DonationsQuestion, operatorapi.DonationsReply](ctx, by, "donations", "ls",
			operatorapi.DonationsQuestion{CustomerID: input.Customer, State: input.State, Donors: input.Donors, Before: before, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.DonationShown]{}, err
		}
		return pageOf(found.Donations, found.Next)
	})
	register(a, route{
		id: "get-donation", method: http.MethodGet, path: "/customers/{customer}/donations/{donation}", right: access.Read, summary: "Show a donation",
	}, func(ctx context.Context, by caller, input *struct {
		DonationInput

		Donors bool `query:"donors" doc:"With its donor and amount, which is audited; needs the right donors."`
	},
	) (operatorapi.DonationShown, error) {
		if input.Donors && !by.principal.May(access.Donors) {
			return operatorapi.DonationShown{}, forbidden(by.principal, access.Donors)
		}
		return ask[operatorapi.DonationQuestion, operatorapi.DonationShown](ctx, by, "donations", "show",
			operatorapi.DonationQuestion{CustomerID: input.Customer, PlatformDonationID: input.Donation, Donors: input.Donors})
	})
	register(a, route{
		id: "retry-donation", method: http.MethodPost, path: "/customers/{customer}/donations/{donation}/retry", right: access.Donations,
		summary: "Send a donation again that failed, or that needs review",
	}, func(ctx context.Context, by caller, input *DonationInput) (operatorapi.DonationShown, error) {
		return ask[operatorapi.DonationQuestion, operatorapi.DonationShown](ctx, by, "donations", "retry",
			operatorapi.DonationQuestion{CustomerID: input.Customer, PlatformDonationID: input.Donation})
	})
	register(a, route{
		id: "close-donation", method: http.MethodPost, path: "/customers/{customer}/donations/{donation}/close", right: access.Donations, slow: true,
		summary: "End a donation that is pending, failed, or needs review",
	}, func(ctx context.Context, by caller, input *struct {
		DonationInput

		Body closing
	},
	) (operatorapi.DonationShown, error) {
		return ask[operatorapi.DonationQuestion, operatorapi.DonationShown](ctx, by, "donations", "close",
			operatorapi.DonationQuestion{CustomerID: input.Customer, PlatformDonationID: input.Donation, Reason: input.Body.Reason})
	})
	a.givingRoutes()
}

// submit publishes a donation or contact as a platform does.
func (by caller) submit(ctx context.Context, input *submissionInput, subject string) (operatorclient.Published, error) {
	if _, err := by.config(ctx, input.Customer); err != nil { // the stream takes the message of an unknown customer, too
		return operatorclient.Published{}, err
	}
	payload, err := operatorclient.Submission(input.Customer, input.Body)
	if err != nil {
		return operatorclient.Published{}, &invalidError{location: "body", text: err.Error()}
	}
	return by.PublishSubmission(ctx, input.Customer, subject, payload)
}

func (a *api) givingRoutes() {
	type RecordsInput struct {
		Paging
		OfCustomer
	}
	register(a, route{
		id: "list-gifts", method: http.MethodGet, path: "/customers/{customer}/gifts", right: access.Donors,
		summary: "List gifts as Virtuous has them, the highest ids first; this is audited",
	}, func(ctx context.Context, by caller, input *RecordsInput) (Page[operatorapi.Gift], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.Gift]{}, err
		}
		found, err := ask[operatorapi.RecordsQuestion, operatorapi.GiftsReply](ctx, by, "gifts", "ls",
			operatorapi.RecordsQuestion{CustomerID: input.Customer, Before: before, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.Gift]{}, err
		}
		return pageOf(found.Gifts, found.Next)
	})
	register(a, route{
		id: "get-gift", method: http.MethodGet, path: "/customers/{customer}/gifts/{gift}", right: access.Donors,
		summary: "Show a gift with all fields; this is audited",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Gift int64 `path:"gift" minimum:"1" doc:"Its id at Virtuous."`
	},
	) (operatorapi.Gift, error) {
		return ask[operatorapi.RecordQuestion, operatorapi.Gift](ctx, by, "gifts", "show",
			operatorapi.RecordQuestion{CustomerID: input.Customer, ID: input.Gift})
	})
	register(a, route{
		id: "list-reconciliation-actions", method: http.MethodGet, path: "/customers/{customer}/reconciliation-actions", right: access.Read,
		summary: "List what reconciliations with Virtuous did, record by record, oldest first",
	}, func(ctx context.Context, by caller, input *struct {
		RecordsInput
		Period

		Category string `query:"category"`
	},
	) (Page[operatorapi.ReconciliationAction], error) {
		after, err := decodeCursor[*operatorapi.ReconciliationPos](input.Cursor)
		if err != nil {
			return Page[operatorapi.ReconciliationAction]{}, err
		}
		found, err := ask[operatorapi.ReconciliationLogQuestion, operatorapi.ReconciliationLogReply](ctx, by, "reconciliations", "ls",
			operatorapi.ReconciliationLogQuestion{
				CustomerID: input.Customer, Category: input.Category, From: input.From, To: input.To, After: after, Limit: input.Limit,
			})
		if err != nil {
			return Page[operatorapi.ReconciliationAction]{}, err
		}
		return pageOf(found.Actions, found.Next)
	})
	register(a, route{
		id: "get-giving-report", method: http.MethodGet, path: "/customers/{customer}/giving-report", right: access.Read,
		summary: "Show how a customer's giving stands: seven figures, those of contacts and their drift, and what to do",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Date string `query:"date" format:"date" doc:"Of this day; absent: as of now."`
	},
	) (dailyreport.Report, error) {
		return ask[operatorapi.GivingReportQuestion, dailyreport.Report](ctx, by, "reports", "show",
			operatorapi.GivingReportQuestion{CustomerID: input.Customer, Date: input.Date})
	})
}
