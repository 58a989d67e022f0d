package httpapi

import (
	"context"
	"net/http"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

// recordInput names a record.
type recordInput struct {
	OfCustomer

	Kind   string `path:"kind" enum:"user,gift,contact"`
	Record string `path:"record" maxLength:"128" doc:"The id of a user in VOMO, of a gift or contact at Virtuous, or of a donation or contact at the platform."`
}

func (a *api) recordRoutes() {
	register(a, route{
		id: "get-record-timeline", method: http.MethodGet, path: "/customers/{customer}/records/{kind}/{record}", right: access.Read, slow: true,
		summary: "Say what became of one record: every hop, its state, the probable cause, and what to do",
	}, func(ctx context.Context, by caller, input *recordInput) (operatorapi.TraceReply, error) {
		noun := "record"
		if input.Kind == operatorapi.TraceUser {
			noun = "users"
		}
		return ask[operatorapi.TraceQuestion, operatorapi.TraceReply](ctx, by, noun, "show",
			operatorapi.TraceQuestion{CustomerID: input.Customer, Kind: input.Kind, RecordID: input.Record})
	})
	register(a, route{
		id: "fix-record", method: http.MethodPost, path: "/customers/{customer}/records/{kind}/{record}/fix", right: access.Donations, slow: true,
		summary: "Do what the cause of a gift's or contact's state calls for, if that is safe", description: "A user is fixed by its resync.",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Kind   string `path:"kind" enum:"gift,contact"`
		Record string `path:"record" maxLength:"128"`
	},
	) (operatorapi.TraceReply, error) {
		return ask[operatorapi.TraceQuestion, operatorapi.TraceReply](ctx, by, "record", "fix",
			operatorapi.TraceQuestion{CustomerID: input.Customer, Kind: input.Kind, RecordID: input.Record})
	})
}
