package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/protobuf/proto"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
	"rollcall.dev/services/console/internal/access"
)

// RunRequested is a request for a run.
type RunRequested struct {
	CustomerID       string `json:"customerId"`
	Subject          string `json:"subject"`
	AlreadyRequested bool   `json:"alreadyRequested" doc:"Such a run is requested or under way already, which is enough."`
}

// reconciliationBody says which reconciliation is wanted.
type reconciliationBody struct {
	Category string `json:"category,omitempty" doc:"By default user_daily."`
}

// TransformSchema lists the categories.
func (reconciliationBody) TransformSchema(_ huma.Registry, schema *huma.Schema) *huma.Schema {
	for _, category := range bus.Categories() {
		schema.Properties["category"].Enum = append(schema.Properties["category"].Enum, category)
	}
	return schema
}

func (a *api) runRoutes() {
	register(a, route{
		id: "poll-customer", method: http.MethodPost, path: "/customers/{customer}/polls", right: access.Customers, status: http.StatusAccepted,
		summary: "Ask for a poll at once, whatever the schedule says",
	}, func(ctx context.Context, by caller, input *OfCustomer) (RunRequested, error) {
		return requestRun(ctx, by, input.Customer, bus.SubjectPoll(input.Customer), &rollcallv1.PollRequest{CustomerId: input.Customer},
			operatorclient.CheckRunnable)
	})
	register(a, route{
		id: "reconcile-customer", method: http.MethodPost, path: "/customers/{customer}/reconciliations", right: access.Customers,
		status: http.StatusAccepted, summary: "Ask for a reconciliation at once, whatever the schedule says",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body *reconciliationBody
	},
	) (RunRequested, error) {
		category := bus.CategoryUserDaily
		if input.Body != nil && input.Body.Category != "" {
			category = input.Body.Category
		}
		return requestRun(ctx, by, input.Customer, bus.SubjectReconcile(category, input.Customer),
			&rollcallv1.ReconcileRequest{CustomerId: input.Customer},
			func(status report.Status) error { return operatorclient.CheckReconcilable(status, category) })
	})
	register(a, route{
		id: "resync-user", method: http.MethodPost, path: "/customers/{customer}/users/{user}/resync", right: access.Customers, slow: true,
		summary: "Bring one user to the destination now, as VOMO has it",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		User string `path:"user" maxLength:"64" doc:"The user's id in VOMO."`
	},
	) (operatorapi.Resync, error) {
		return ask[operatorapi.ResyncQuestion, operatorapi.Resync](ctx, by, "users", "resync",
			operatorapi.ResyncQuestion{CustomerID: input.Customer, VomoID: input.User})
	})
}

// requestRun publishes a request for a run if the customer can be worked. Otherwise the problem says why, and what helps.
func requestRun(ctx context.Context, by caller, customer, subject string, message proto.Message, check func(report.Status) error,
) (RunRequested, error) {
	status, err := ask[report.StatusQuestion, report.Status](ctx, by, "status", "get", report.StatusQuestion{CustomerID: customer})
	if err != nil {
		return RunRequested{}, err
	}
	if err := check(status); err != nil {
		return RunRequested{}, huma.Error409Conflict(err.Error())
	}
	isRequested, err := by.PublishRun(ctx, subject, message, sleep)
	return RunRequested{CustomerID: customer, Subject: subject, AlreadyRequested: isRequested}, err
}

// sleep waits, at most until ctx ends.
func sleep(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}
