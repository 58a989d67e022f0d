package httpapi

import (
	"context"
	"net/http"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

// EndpointInput names an endpoint.
type EndpointInput struct {
	Endpoint int64 `path:"endpoint" minimum:"1"`
}

func (a *api) endpointRoutes() {
	admin := func(id, method, path, summary string) route {
		return route{id: id, method: method, path: path, summary: summary, right: access.Admin, installation: true}
	}
	register(a, admin("list-endpoints", http.MethodGet, "/endpoints", "List the addresses of partners' backends that get webhooks, by id"),
		func(ctx context.Context, by caller, input *Paging) (Page[operatorapi.Endpoint], error) {
			after, err := decodeCursor[int64](input.Cursor)
			if err != nil {
				return Page[operatorapi.Endpoint]{}, err
			}
			found, err := ask[operatorapi.EndpointsQuestion, operatorapi.EndpointsReply](ctx, by, "endpoints", "ls",
				operatorapi.EndpointsQuestion{After: after, Limit: input.Limit})
			if err != nil {
				return Page[operatorapi.Endpoint]{}, err
			}
			return pageOf(found.Endpoints, found.Next)
		})
	register(a, admin("get-endpoint", http.MethodGet, "/endpoints/{endpoint}", "Show an endpoint"),
		func(ctx context.Context, by caller, input *EndpointInput) (operatorapi.Endpoint, error) {
			return ask[operatorapi.EndpointQuestion, operatorapi.Endpoint](ctx, by, "endpoints", "show", operatorapi.EndpointQuestion{ID: input.Endpoint})
		})
	register(a, admin("add-endpoint", http.MethodPost, "/endpoints", "Add an endpoint; its secret is not shown again"),
		func(ctx context.Context, by caller, input *struct{ Body operatorapi.EndpointAdd }) (operatorapi.EndpointSecret, error) {
			return ask[operatorapi.EndpointAdd, operatorapi.EndpointSecret](ctx, by, "endpoints", "add", input.Body)
		})
	register(a, admin("change-endpoint", http.MethodPatch, "/endpoints/{endpoint}", "Change an endpoint; what is left out stays"),
		func(ctx context.Context, by caller, input *struct {
			EndpointInput

			Body struct {
				URL     string   `json:"url,omitempty"`
				Topics  []string `json:"topics,omitempty"`
				Enabled *bool    `json:"enabled,omitempty"`
			}
		},
		) (operatorapi.Endpoint, error) {
			return ask[operatorapi.EndpointChange, operatorapi.Endpoint](ctx, by, "endpoints", "set", operatorapi.EndpointChange{
				ID: input.Endpoint, URL: input.Body.URL, Topics: input.Body.Topics, Enabled: input.Body.Enabled,
			})
		})
	register(a, admin("remove-endpoint", http.MethodDelete, "/endpoints/{endpoint}", "Remove an endpoint"),
		func(ctx context.Context, by caller, input *EndpointInput) (operatorapi.Endpoint, error) {
			return ask[operatorapi.EndpointQuestion, operatorapi.Endpoint](ctx, by, "endpoints", "rm", operatorapi.EndpointQuestion{ID: input.Endpoint})
		})
	slow := admin("test-endpoint", http.MethodPost, "/endpoints/{endpoint}/test", "Send a test event to an endpoint, and show its answer")
	slow.slow = true
	register(a, slow, func(ctx context.Context, by caller, input *EndpointInput) (operatorapi.EndpointTested, error) {
		return ask[operatorapi.EndpointQuestion, operatorapi.EndpointTested](ctx, by, "endpoints", "test", operatorapi.EndpointQuestion{ID: input.Endpoint})
	})
	register(a, admin("rotate-endpoint", http.MethodPost, "/endpoints/{endpoint}/rotate", "Give an endpoint another secret"),
		func(ctx context.Context, by caller, input *struct {
			EndpointInput

			Body *struct {
				KeepSeconds *int64 `json:"keepSeconds,omitempty" doc:"For so long the secret before signs too; absent: a day."`
			}
		},
		) (operatorapi.EndpointSecret, error) {
			rotation := operatorapi.EndpointRotation{ID: input.Endpoint}
			if input.Body != nil {
				rotation.KeepSeconds = input.Body.KeepSeconds
			}
			return ask[operatorapi.EndpointRotation, operatorapi.EndpointSecret](ctx, by, "endpoints", "rotate", rotation)
		})
	register(a, admin("list-endpoint-deliveries", http.MethodGet, "/endpoints/{endpoint}/deliveries", "List an endpoint's deliveries, newest first"),
		func(ctx context.Context, by caller, input *struct {
			Paging
			EndpointInput

			State string `query:"state" enum:"pending,delivered,failed"`
		},
		) (Page[operatorapi.EndpointDelivery], error) {
			before, err := decodeCursor[*operatorapi.EndpointPlace](input.Cursor)
			if err != nil {
				return Page[operatorapi.EndpointDelivery]{}, err
			}
			found, err := ask[operatorapi.EndpointDeliveriesQuestion, operatorapi.EndpointDeliveriesReply](ctx, by, "endpoints", "deliveries",
				operatorapi.EndpointDeliveriesQuestion{ID: input.Endpoint, State: input.State, Before: before, Limit: input.Limit})
			if err != nil {
				return Page[operatorapi.EndpointDelivery]{}, err
			}
			return pageOf(found.Deliveries, found.Next)
		})
	register(a, admin("replay-endpoint", http.MethodPost, "/endpoints/{endpoint}/replay",
		"Send a batch of an endpoint's deliveries again; send next as after until it is null"),
		func(ctx context.Context, by caller, input *struct {
			EndpointInput

			Body struct {
				Since time.Time                  `json:"since"`
				After *operatorapi.EndpointPlace `json:"after,omitempty"`
			}
		},
		) (operatorapi.EndpointReplayed, error) {
			return ask[operatorapi.EndpointReplay, operatorapi.EndpointReplayed](ctx, by, "endpoints", "replay",
				operatorapi.EndpointReplay{ID: input.Endpoint, Since: input.Body.Since, After: input.Body.After})
		})
}
