package httpapi

import (
	"context"
	"net/http"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

// DrainInput names a drain.
type DrainInput struct {
	Drain int64 `path:"drain" minimum:"1"`
}

func (a *api) drainRoutes() {
	register(a, route{
		id: "start-drain", method: http.MethodPost, path: "/drains", right: access.Letters, status: http.StatusAccepted,
		summary:     "Retry or discard all letters that match, in the background",
		description: "A filter is needed. Letters that fail after the start are left out. GET /drains/{drain} has the progress.",
	}, func(ctx context.Context, by caller, input *struct{ Body operatorapi.DrainStart }) (operatorapi.Drain, error) {
		start := input.Body
		var err error
		if start.CustomerID, err = by.narrow(start.CustomerID); err != nil {
			return operatorapi.Drain{}, err
		}
		return ask[operatorapi.DrainStart, operatorapi.Drain](ctx, by, "drains", "start", start)
	})
	register(a, route{id: "list-drains", method: http.MethodGet, path: "/drains", right: access.Read, summary: "List drains of letters, newest first"},
		func(ctx context.Context, by caller, input *struct {
			Paging
			OfAnyCustomer
		},
		) (Page[operatorapi.Drain], error) {
			before, err := decodeCursor[int64](input.Cursor)
			if err != nil {
				return Page[operatorapi.Drain]{}, err
			}
			customer, err := by.narrow(input.Customer)
			if err != nil {
				return Page[operatorapi.Drain]{}, err
			}
			found, err := ask[operatorapi.DrainsQuestion, operatorapi.DrainsReply](ctx, by, "drains", "ls",
				operatorapi.DrainsQuestion{CustomerID: customer, Before: before, Limit: input.Limit})
			if err != nil {
				return Page[operatorapi.Drain]{}, err
			}
			return pageOf(found.Drains, found.Next)
		})
	register(a, route{id: "get-drain", method: http.MethodGet, path: "/drains/{drain}", right: access.Read, summary: "Show the progress of a drain"},
		func(ctx context.Context, by caller, input *DrainInput) (operatorapi.Drain, error) {
			shown, err := by.drain(ctx, operatorapi.DrainQuestion{ID: input.Drain, Limit: 1})
			return shown.Drain, err
		})
	register(a, route{
		id: "list-drain-items", method: http.MethodGet, path: "/drains/{drain}/items", right: access.Read,
		summary: "List the ledger of a drain: what became of each letter, newest first",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		DrainInput

		Outcome string `query:"outcome" enum:"done,left"`
	},
	) (Page[operatorapi.DrainItem], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.DrainItem]{}, err
		}
		shown, err := by.drain(ctx, operatorapi.DrainQuestion{ID: input.Drain, Outcome: input.Outcome, Before: before, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.DrainItem]{}, err
		}
		return pageOf(shown.Items, shown.Next)
	})
	register(a, route{
		id: "abort-drain", method: http.MethodPost, path: "/drains/{drain}/abort", right: access.Letters,
		summary: "End a drain before its next batch; what it has done stays done",
	}, func(ctx context.Context, by caller, input *DrainInput) (operatorapi.Drain, error) {
		if _, err := by.drain(ctx, operatorapi.DrainQuestion{ID: input.Drain, Limit: 1}); err != nil {
			return operatorapi.Drain{}, err
		}
		return ask[operatorapi.DrainCommand, operatorapi.Drain](ctx, by, "drains", "abort",
			operatorapi.DrainCommand{ID: input.Drain, CustomerID: by.principal.Customer})
	})
}

// drain returns a drain that the principal sees: one of all customers is not a customer's.
func (by caller) drain(ctx context.Context, question operatorapi.DrainQuestion) (operatorapi.DrainShown, error) {
	shown, err := ask[operatorapi.DrainQuestion, operatorapi.DrainShown](ctx, by, "drains", "show", question)
	if err == nil && by.principal.Customer != "" && (shown.CustomerID == nil || !by.principal.Sees(*shown.CustomerID)) {
		return operatorapi.DrainShown{}, errNotFound
	}
	return shown, err
}
