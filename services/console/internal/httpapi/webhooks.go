package httpapi

import (
	"context"
	"net/http"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

// Period is a time from one moment until before another.
type Period struct {
	From time.Time `query:"from" required:"true"`
	To   time.Time `query:"to" doc:"Exclusive; absent: until now."`
}

func (a *api) webhookRoutes() {
	register(a, route{
		id: "list-webhooks", method: http.MethodGet, path: "/customers/{customer}/webhooks", right: access.Read,
		summary: "List a customer's webhook subscriptions at Virtuous, also those that ended, newest first",
	}, func(ctx context.Context, by caller, input *OfCustomer) (Page[operatorapi.Webhook], error) {
		return by.webhooks(ctx, "ls", input.Customer)
	})
	register(a, route{
		id: "remove-webhook", method: http.MethodDelete, path: "/customers/{customer}/webhooks", right: access.Customers, slow: true,
		summary: "Delete a customer's webhook subscription at Virtuous",
	}, func(ctx context.Context, by caller, input *OfCustomer) (Page[operatorapi.Webhook], error) {
		return by.webhooks(ctx, "rm", input.Customer)
	})
	register(a, route{
		id: "add-webhook", method: http.MethodPost, path: "/customers/{customer}/webhooks", right: access.Customers, slow: true,
		summary: "Have Virtuous send a customer's gifts and contacts",
	}, func(ctx context.Context, by caller, input *OfCustomer) (operatorapi.Webhook, error) {
		return ask[operatorapi.WebhookQuestion, operatorapi.Webhook](ctx, by, "webhooks", "add", operatorapi.WebhookQuestion{CustomerID: input.Customer})
	})
	register(a, route{
		id: "rotate-webhook", method: http.MethodPost, path: "/customers/{customer}/webhooks/rotate", right: access.Customers, slow: true,
		summary: "Replace the secret of a customer's webhook subscription",
	}, func(ctx context.Context, by caller, input *OfCustomer) (operatorapi.Webhook, error) {
		return ask[operatorapi.WebhookQuestion, operatorapi.Webhook](ctx, by, "webhooks", "rotate", operatorapi.WebhookQuestion{CustomerID: input.Customer})
	})
	register(a, route{
		id: "verify-webhook", method: http.MethodPost, path: "/customers/{customer}/webhooks/verify", right: access.Customers, slow: true,
		summary: "Compare the webhook subscription with what Virtuous has",
	}, func(ctx context.Context, by caller, input *OfCustomer) (operatorapi.WebhookVerified, error) {
		return ask[operatorapi.WebhookQuestion, operatorapi.WebhookVerified](ctx, by, "webhooks", "verify",
			operatorapi.WebhookQuestion{CustomerID: input.Customer})
	})
	register(a, route{
		id: "replay-webhooks", method: http.MethodPost, path: "/customers/{customer}/webhooks/replay", right: access.Customers, slow: true,
		summary: "Apply a batch of deliveries again that are in the inbox", description: "Send next as after until next is null.",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body struct {
			From  time.Time               `json:"from"`
			To    time.Time               `json:"to" doc:"Exclusive."`
			After *operatorapi.WebhookPos `json:"after,omitempty"`
		}
	},
	) (operatorapi.WebhookReplayed, error) {
		return ask[operatorapi.WebhookReplay, operatorapi.WebhookReplayed](ctx, by, "webhooks", "replay",
			operatorapi.WebhookReplay{CustomerID: input.Customer, From: input.Body.From, To: input.Body.To, After: input.Body.After})
	})
}

func (by caller) webhooks(ctx context.Context, verb, customer string) (Page[operatorapi.Webhook], error) {
	found, err := ask[operatorapi.WebhookQuestion, operatorapi.WebhooksReply](ctx, by, "webhooks", verb, operatorapi.WebhookQuestion{CustomerID: customer})
	if err != nil {
		return Page[operatorapi.Webhook]{}, err
	}
	return pageOf[operatorapi.Webhook, int64](found.Webhooks, nil)
}

func (a *api) alertRoutes() {
	register(a, route{
		id: "list-alerts", method: http.MethodGet, path: "/alerts", right: access.Read, summary: "List active alerts, newest first",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfAnyCustomer

		All bool `query:"all" doc:"Also those that were cleared in the last days."`
	},
	) (Page[operatorapi.Alert], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.Alert]{}, err
		}
		customer, err := by.narrow(input.Customer)
		if err != nil {
			return Page[operatorapi.Alert]{}, err
		}
		found, err := ask[operatorapi.AlertsQuestion, operatorapi.AlertsReply](ctx, by, "alerts", "ls",
			operatorapi.AlertsQuestion{CustomerID: customer, All: input.All, Before: before, Limit: input.Limit})
		if err != nil {
			return Page[operatorapi.Alert]{}, err
		}
		return pageOf(found.Alerts, found.Next)
	})
	register(a, route{
		id: "test-alerts", method: http.MethodPost, path: "/alerts/test", right: access.Customers, installation: true, slow: true,
		summary: "Send a test to every alert channel",
	}, func(ctx context.Context, by caller, _ *struct{}) (operatorapi.AlertsTested, error) {
		return ask[struct{}, operatorapi.AlertsTested](ctx, by, "alerts", "test", struct{}{})
	})
	register(a, route{
		id: "list-acts", method: http.MethodGet, path: "/audit", right: access.Read, summary: "List who did what, newest first",
	}, func(ctx context.Context, by caller, input *struct {
		Paging
		OfAnyCustomer

		Verb     string    `query:"verb" maxLength:"64" doc:"Such as letters.retry; letters means all of its verbs."`
		Operator string    `query:"operator" maxLength:"128"`
		Since    time.Time `query:"since"`
	},
	) (Page[operatorapi.Act], error) {
		before, err := decodeCursor[int64](input.Cursor)
		if err != nil {
			return Page[operatorapi.Act]{}, err
		}
		customer, err := by.narrow(input.Customer)
		if err != nil {
			return Page[operatorapi.Act]{}, err
		}
		question := operatorapi.ActsQuestion{CustomerID: customer, Verb: input.Verb, Operator: input.Operator, Before: before, Limit: input.Limit}
		if !input.Since.IsZero() {
			question.Since = &input.Since
		}
		found, err := ask[operatorapi.ActsQuestion, operatorapi.ActsReply](ctx, by, "audit", "ls", question)
		if err != nil {
			return Page[operatorapi.Act]{}, err
		}
		return pageOf(found.Acts, found.Next)
	})
	register(a, route{
		id: "get-key", method: http.MethodGet, path: "/key", right: access.Read, summary: "Show the public key to which secrets are sealed",
	}, func(ctx context.Context, by caller, _ *struct{}) (operatorapi.KeyReply, error) {
		return by.PublicKey(ctx)
	})
}
