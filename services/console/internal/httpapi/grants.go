package httpapi

import (
	"context"
	"net/http"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

// grantsInput lists API tokens or links.
type grantsInput struct {
	Paging
	OfAnyCustomer
}

func (a *api) grantRoutes() {
	admin := func(id, method, path, summary string) route {
		return route{id: id, method: method, path: path, summary: summary, right: access.Admin, installation: true}
	}
	register(a, admin("list-tokens", http.MethodGet, "/tokens", "List API tokens, newest first"),
		func(ctx context.Context, by caller, input *grantsInput) (Page[operatorapi.APIToken], error) {
			before, err := decodeCursor[int64](input.Cursor)
			if err != nil {
				return Page[operatorapi.APIToken]{}, err
			}
			found, err := ask[operatorapi.TokensQuestion, operatorapi.TokensReply](ctx, by, "tokens", "ls",
				operatorapi.TokensQuestion{CustomerID: input.Customer, Before: before, Limit: input.Limit})
			if err != nil {
				return Page[operatorapi.APIToken]{}, err
			}
			return pageOf(found.Tokens, found.Next)
		})
	register(a, admin("add-token", http.MethodPost, "/tokens", "Add an API token, which is shown this once"),
		func(ctx context.Context, by caller, input *struct{ Body operatorapi.TokenAddition }) (operatorapi.TokenAdded, error) {
			return ask[operatorapi.TokenAddition, operatorapi.TokenAdded](ctx, by, "tokens", "add", input.Body)
		})
	register(a, admin("revoke-token", http.MethodDelete, "/tokens/{name}", "End an API token, and the sessions that were begun with it"),
		func(ctx context.Context, by caller, input *struct {
			Name string `path:"name" maxLength:"128"`
		},
		) (operatorapi.GrantEnded, error) {
			return ask[operatorapi.TokenRevocation, operatorapi.GrantEnded](ctx, by, "tokens", "revoke", operatorapi.TokenRevocation{Name: input.Name})
		})
	register(a, admin("list-links", http.MethodGet, "/links", "List customers' links, newest first"),
		func(ctx context.Context, by caller, input *grantsInput) (Page[operatorapi.Link], error) {
			before, err := decodeCursor[int64](input.Cursor)
			if err != nil {
				return Page[operatorapi.Link]{}, err
			}
			found, err := ask[operatorapi.LinksQuestion, operatorapi.LinksReply](ctx, by, "links", "ls",
				operatorapi.LinksQuestion{CustomerID: input.Customer, Before: before, Limit: input.Limit})
			if err != nil {
				return Page[operatorapi.Link]{}, err
			}
			return pageOf(found.Links, found.Next)
		})
	register(a, admin("add-link", http.MethodPost, "/links", "Make a customer's link, whose address is shown this once"),
		func(ctx context.Context, by caller, input *struct{ Body operatorapi.LinkAddition }) (operatorapi.LinkAdded, error) {
			return ask[operatorapi.LinkAddition, operatorapi.LinkAdded](ctx, by, "links", "add", input.Body)
		})
	register(a, admin("revoke-link", http.MethodDelete, "/links/{link}", "End a link, and the sessions that were begun with it"),
		func(ctx context.Context, by caller, input *struct {
			Link int64 `path:"link" minimum:"1"`
		},
		) (operatorapi.GrantEnded, error) {
			return ask[operatorapi.LinkRevocation, operatorapi.GrantEnded](ctx, by, "links", "revoke", operatorapi.LinkRevocation{ID: input.Link})
		})
}
