package httpapi

import (
	"context"
	"net/http"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/services/console/internal/access"
)

func (a *api) contactRoutes() {
	type TransactionInput struct {
		OfCustomer

		Reference string `path:"reference" maxLength:"128" doc:"The platform's id of the contact."`
	}
	register(a, route{
		id: "list-contacts", method: http.MethodGet, path: "/customers/{customer}/contacts", right: access.Donors,
		summary: "List contacts as Virtuous has them, without their names, the highest ids first; this is audited",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfCustomer
	},
	) (Page[operatorapi.Contact], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.Contact]{}, err
		}
		found, err := ask[operatorapi.RecordsQuestion, operatorapi.ContactsReply](ctx, by, "contacts", "ls",
			operatorapi.RecordsQuestion{CustomerID: input.Customer, Before: before, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.Contact]{}, err
		}
		return pageOf(found.Contacts, found.Next)
	})
	register(a, route{
		id: "get-contact", method: http.MethodGet, path: "/customers/{customer}/contacts/{contact}", right: access.Donors,
		summary: "Show a contact with its names and addresses; this is audited",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Contact int64 `path:"contact" minimum:"1" doc:"Its id at Virtuous."`
	},
	) (operatorapi.Contact, error) {
		return ask[operatorapi.RecordQuestion, operatorapi.Contact](ctx, by, "contacts", "show",
			operatorapi.RecordQuestion{CustomerID: input.Customer, ID: input.Contact})
	})
	register(a, route{
		id: "submit-contact", method: http.MethodPost, path: "/customers/{customer}/contact-transactions", right: access.Donations,
		status: http.StatusAccepted, body: operatorclient.LongestSubmission, summary: "Submit a contact of the platform; the same one again changes nothing",
	}, func(ctx context.Context, by caller, input *submissionInput) (operatorclient.Published, error) {
		return by.submit(ctx, input, bus.SubjectContact(input.Customer))
	})
	register(a, route{
		id: "list-contact-transactions", method: http.MethodGet, path: "/customers/{customer}/contact-transactions", right: access.Read,
		summary: "List the platform's contacts on their way into Virtuous, newest first",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfCustomer

		State string `query:"state" enum:"pending,submitted,needs_review,confirmed,failed,closed"`
	},
	) (Page[operatorapi.ContactTransaction], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.ContactTransaction]{}, err
		}
		found, err := ask[operatorapi.ContactTransactionsQuestion, operatorapi.ContactTransactionsReply](ctx, by, "contacts", "transactions",
			operatorapi.ContactTransactionsQuestion{CustomerID: input.Customer, State: input.State, Before: before, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.ContactTransaction]{}, err
		}
		return pageOf(found.Contacts, found.Next)
	})
	register(a, route{
		id: "get-contact-transaction", method: http.MethodGet, path: "/customers/{customer}/contact-transactions/{reference}", right: access.Read,
		summary: "Show how a contact of the platform stands on its way into Virtuous",
	}, func(ctx context.Context, by caller, input *TransactionInput) (operatorapi.ContactTransaction, error) {
		return by.transaction(ctx, "transaction", operatorapi.ContactTransactionQuestion{CustomerID: input.Customer, ReferenceID: input.Reference})
	})
	register(a, route{
		id: "retry-contact-transaction", method: http.MethodPost, path: "/customers/{customer}/contact-transactions/{reference}/retry",
		right: access.Donations, summary: "Send a contact again that failed, or that needs review",
	}, func(ctx context.Context, by caller, input *TransactionInput) (operatorapi.ContactTransaction, error) {
		return by.transaction(ctx, "retry", operatorapi.ContactTransactionQuestion{CustomerID: input.Customer, ReferenceID: input.Reference})
	})
	register(a, route{
		id: "close-contact-transaction", method: http.MethodPost, path: "/customers/{customer}/contact-transactions/{reference}/close", slow: true,
		right: access.Donations, summary: "End a contact's way into Virtuous",
	}, func(ctx context.Context, by caller, input *struct {
		TransactionInput

		Body closing
	},
	) (operatorapi.ContactTransaction, error) {
		return by.transaction(ctx, "close", operatorapi.ContactTransactionQuestion{
			CustomerID: input.Customer, ReferenceID: input.Reference, Reason: input.Body.Reason,
		})
	})
	register(a, route{
		id: "apply-contact", method: http.MethodPost, path: "/customers/{customer}/contacts/applied", right: access.Donations,
		summary: "Note that the platform has Virtuous' values of a contact by now",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body struct {
			ReferenceID       string   `json:"referenceId,omitempty"`
			VirtuousContactID int64    `json:"virtuousContactId,omitempty" doc:"All contacts of the platform that are this one."`
			Fields            []string `json:"fields,omitempty" doc:"Absent: all that wait for the platform."`
		}
	},
	) (operatorapi.ContactApplied, error) {
		return ask[operatorapi.ContactAppliedQuestion, operatorapi.ContactApplied](ctx, by, "contacts", "applied", operatorapi.ContactAppliedQuestion{
			CustomerID: input.Customer, ReferenceID: input.Body.ReferenceID, VirtuousContactID: input.Body.VirtuousContactID, Fields: input.Body.Fields,
		})
	})
}

func (by caller) transaction(ctx context.Context, verb string, question operatorapi.ContactTransactionQuestion) (operatorapi.ContactTransaction, error) {
	return ask[operatorapi.ContactTransactionQuestion, operatorapi.ContactTransaction](ctx, by, "contacts", verb, question)
}
