package httpapi

import (
	"context"
	"net/http"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

func (a *api) reviewRoutes() {
	type ItemInput struct {
		OfCustomer

		Item int64 `path:"item" minimum:"1"`
	}
	register(a, route{
		id: "list-review-items", method: http.MethodGet, path: "/review-items", right: access.Read,
		summary: "List what waits for a person, oldest first",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfAnyCustomer

		Kind    string `query:"kind" enum:"user,contact,gift"`
		Settled bool   `query:"settled" doc:"Settled items, too."`
	},
	) (Page[operatorapi.ReviewItem], error) {
		after, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.ReviewItem]{}, err
		}
		customer, err := by.narrow(input.Customer)
		if err != nil {
			return Page[operatorapi.ReviewItem]{}, err
		}
		found, err := ask[operatorapi.ReviewsQuestion, operatorapi.ReviewsReply](ctx, by, "review", "ls",
			operatorapi.ReviewsQuestion{CustomerID: customer, Kind: input.Kind, Settled: input.Settled, After: after, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.ReviewItem]{}, err
		}
		return pageOf(found.Items, found.Next)
	})
	register(a, route{
		id: "get-review-item", method: http.MethodGet, path: "/customers/{customer}/review-items/{item}", right: access.Review,
		summary: "Show what waits, with both sides' values; this is audited",
	}, func(ctx context.Context, by caller, input *ItemInput) (operatorapi.ReviewShown, error) {
		return ask[operatorapi.ReviewQuestion, operatorapi.ReviewShown](ctx, by, "review", "show",
			operatorapi.ReviewQuestion{CustomerID: input.Customer, ItemID: input.Item})
	})
	register(a, route{
		id: "resolve-review-item", method: http.MethodPost, path: "/customers/{customer}/review-items/{item}/decision", right: access.Review,
		summary: "Decide what becomes of an item",
	}, func(ctx context.Context, by caller, input *struct {
		ItemInput

		Body struct {
			Decision string `json:"decision" minLength:"1" doc:"One of the item's decisions."`
		}
	},
	) (operatorapi.ReviewItem, error) {
		return ask[operatorapi.ReviewDecision, operatorapi.ReviewItem](ctx, by, "review", "resolve",
			operatorapi.ReviewDecision{CustomerID: input.Customer, ItemID: input.Item, Decision: input.Body.Decision})
	})
}

// EntityInput says which deletions are meant.
type EntityInput struct {
	Entity string `query:"entity" enum:"user,gift" default:"user"`
}

func (a *api) deletionRoutes() {
	register(a, route{
		id: "list-deletion-scans", method: http.MethodGet, path: "/deletion-scans", right: access.Read,
		summary: "List deletion scans, newest first",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfAnyCustomer

		Entity string `query:"entity" enum:"user,gift"`
	},
	) (Page[operatorapi.DeletionRun], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.DeletionRun]{}, err
		}
		customer, err := by.narrow(input.Customer)
		if err != nil {
			return Page[operatorapi.DeletionRun]{}, err
		}
		found, err := ask[operatorapi.DeletionsQuestion, operatorapi.DeletionsReply](ctx, by, "deletions", "ls",
			operatorapi.DeletionsQuestion{CustomerID: customer, Entity: input.Entity, Before: before, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.DeletionRun]{}, err
		}
		return pageOf(found.Deletions, found.Next)
	})
	register(a, route{
		id: "get-deletion-scan", method: http.MethodGet, path: "/customers/{customer}/deletion-scan", right: access.Read,
		summary:     "Show a deletion scan and the users or gifts that the list did not show",
		description: "Without scan, it is the one that is not ended, otherwise the newest. Its candidates are a page: next is the cursor of the following one.",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfCustomer
		EntityInput

		Scan   int64  `query:"scan" minimum:"1" doc:"The scan's id."`
		State  string `query:"state" doc:"Only candidates in this state."`
		Donors bool   `query:"donors" doc:"With users' addresses, which is audited; needs the right donors."`
	},
	) (operatorapi.DeletionShown, error) {
		after, err := decodeCursor[string](input.Cursor)
		if err != nil {
			return operatorapi.DeletionShown{}, err
		}
		if input.Donors && !by.principal.May(access.Donors) {
			return operatorapi.DeletionShown{}, forbidden(by.principal, access.Donors)
		}
		shown, err := ask[operatorapi.DeletionQuestion, operatorapi.DeletionShown](ctx, by, "deletions", "show", operatorapi.DeletionQuestion{
			CustomerID: input.Customer, Entity: input.Entity, RunID: input.Scan, State: input.State, After: after, Limit: input.Limit, WithoutEmail: !input.Donors,
		})
		if err == nil && shown.Next != nil {
			*shown.Next, err = encodeCursor(*shown.Next)
		}
		return shown, err
	})
	for verb, summary := range map[string]string{
		"scan":    "Ask for a deletion scan at once, whatever the schedule says",
		"approve": "Let a held deletion scan go on", "reject": "End a held deletion scan without a deletion",
	} {
		register(a, route{
			id: verb + "-deletions", method: http.MethodPost, path: "/customers/{customer}/deletion-scan/" + verb, right: access.Deletions, summary: summary,
		}, func(ctx context.Context, by caller, input *struct {
			OfCustomer

			Body *struct {
				Entity string `json:"entity,omitempty" enum:"user,gift"`
				ScanID int64  `json:"scanId,omitempty" doc:"Approve and reject: only if this scan is the held one."`
			}
		},
		) (operatorapi.DeletionCommanded, error) {
			command := operatorapi.DeletionCommand{CustomerID: input.Customer}
			if input.Body != nil {
				command.Entity, command.RunID = input.Body.Entity, input.Body.ScanID
			}
			return ask[operatorapi.DeletionCommand, operatorapi.DeletionCommanded](ctx, by, "deletions", verb, command)
		})
	}
	register(a, route{
		id: "undo-deletions", method: http.MethodPost, path: "/customers/{customer}/deletion-scan/undo", right: access.Deletions,
		summary: "Bring deleted users or gifts back that VOMO or Virtuous still has: these, or all of a scan",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body struct {
			Entity  string   `json:"entity,omitempty" enum:"user,gift"`
			VomoIDs []string `json:"vomoIds,omitempty"`
			GiftIDs []int64  `json:"virtuousGiftIds,omitempty"`
			ScanID  int64    `json:"scanId,omitempty"`
		}
	},
	) (operatorapi.UndoCommanded, error) {
		return ask[operatorapi.UndoCommand, operatorapi.UndoCommanded](ctx, by, "deletions", "undo", operatorapi.UndoCommand{
			CustomerID: input.Customer, Entity: input.Body.Entity, VomoIDs: input.Body.VomoIDs, GiftIDs: input.Body.GiftIDs, RunID: input.Body.ScanID,
		})
	})
}
