package httpapi

import (
	"context"
	"net/http"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/services/console/internal/access"
)

func (a *api) customerRoutes() {
	register(a, route{
		id: "list-customers", method: http.MethodGet, path: "/customers", right: access.Read,
		summary: "List customers with how their mirrors stand, in the order of their ids",
	}, func(ctx context.Context, by caller, input *Paging) (Page[operatorapi.Customer], error) {
		after, err := decodeCursor[string](input.Cursor)
		if err != nil {
			return Page[operatorapi.Customer]{}, err
		}
		found, err := ask[operatorapi.CustomersQuestion, operatorapi.CustomersReply](ctx, by, "customers", "ls",
			operatorapi.CustomersQuestion{CustomerID: by.principal.Customer, After: after, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.Customer]{}, err
		}
		page, err := pageOf(found.Customers, found.Next)
		page.AsOf = &found.AsOf
		return page, err
	})
	register(a, route{
		id: "get-customer-status", method: http.MethodGet, path: "/customers/{customer}/status", right: access.Read,
		summary: "Show how a customer's integration stands, with the reason and the remedy of each fault",
	}, func(ctx context.Context, by caller, input *OfCustomer) (report.Status, error) {
		return ask[report.StatusQuestion, report.Status](ctx, by, "status", "get", report.StatusQuestion{CustomerID: input.Customer})
	})
	for verb, summary := range map[string]string{
		"pause": "Stop all work for a customer until it is resumed", "resume": "Let a paused customer go on from where it stood",
	} {
		register(a, route{
			id: verb + "-customer", method: http.MethodPost, path: "/customers/{customer}/" + verb, right: access.Pause, summary: summary,
		}, func(ctx context.Context, by caller, input *OfCustomer) (operatorapi.CustomerCommanded, error) {
			return ask[operatorapi.CustomerCommand, operatorapi.CustomerCommanded](ctx, by, "customers", verb,
				operatorapi.CustomerCommand{CustomerID: input.Customer})
		})
	}
}

func (a *api) backfillRoutes() {
	list := func(ctx context.Context, by caller, customer string, input Paging) (Page[operatorapi.Backfill], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.Backfill]{}, err
		}
		found, err := ask[operatorapi.BackfillsQuestion, operatorapi.BackfillsReply](ctx, by, "backfills", "ls",
			operatorapi.BackfillsQuestion{CustomerID: customer, Before: before, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.Backfill]{}, err
		}
		return pageOf(found.Backfills, found.Next)
	}
	register(a, route{
		id: "list-backfills", method: http.MethodGet, path: "/backfills", right: access.Read,
		summary: "List backfills, newest first; of one customer, only its newest",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfAnyCustomer
	},
	) (Page[operatorapi.Backfill], error) {
		customer, err := by.narrow(input.Customer)
		if err != nil {
			return Page[operatorapi.Backfill]{}, err
		}
		return list(ctx, by, customer, input.Paging)
	})
	register(a, route{
		id: "start-backfill", method: http.MethodPost, path: "/customers/{customer}/backfills", right: access.Customers,
		summary: "Read all users of a customer again, or let a paused backfill go on",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body *struct {
			Rewrite bool `json:"rewrite,omitempty" doc:"Write every user again, also one whose version is known."`
		}
	},
	) (operatorapi.BackfillCommanded, error) {
		return ask[operatorapi.BackfillCommand, operatorapi.BackfillCommanded](ctx, by, "backfills", "start",
			operatorapi.BackfillCommand{CustomerID: input.Customer, Rewrite: input.Body != nil && input.Body.Rewrite})
	})
	for verb, summary := range map[string]string{
		"pause": "Stop a customer's backfill at its last committed page", "cancel": "End a customer's backfill for good",
	} {
		register(a, route{
			id: verb + "-backfill", method: http.MethodPost, path: "/customers/{customer}/backfills/" + verb, right: access.Customers, summary: summary,
		}, func(ctx context.Context, by caller, input *OfCustomer) (operatorapi.BackfillCommanded, error) {
			return ask[operatorapi.BackfillCommand, operatorapi.BackfillCommanded](ctx, by, "backfills", verb,
				operatorapi.BackfillCommand{CustomerID: input.Customer})
		})
	}
}
