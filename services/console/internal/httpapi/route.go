package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/services/console/internal/access"
)

const (
	answerWithin = 15 * time.Second // more than a service takes for an answer
	// slowWithin is more than a service takes that asks VOMO, Virtuous or a mail server.
	slowWithin = 35 * time.Second
	// longestBody bounds a request's body, except that of a donation or contact.
	longestBody = 64 << 10
)

// route is an operation.
type route struct {
	id, method, path, summary, description string
	right                                  access.Right
	installation                           bool // it is about the whole installation, so no principal of one customer may use it
	slow                                   bool // the service asks another system first
	status                                 int  // of success; 0: 200
	body                                   int64
}

// OfCustomer is the input of an operation on one customer.
type OfCustomer struct {
	Customer string `path:"customer" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"The customer's id."`
}

// OfAnyCustomer narrows a list to one customer.
type OfAnyCustomer struct {
	Customer string `query:"customer" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"Only this customer's."`
}

// reply is the answer of an operation. The document has the type of Body from register: package huma's own way compiles all of huma for each type.
type reply struct{ Body any }

// caller asks the services in the principal's name.
type caller struct {
	*operatorclient.Client

	principal access.Principal
}

// register adds an operation. The guard runs before the input is read, so that a request without the right learns nothing.
func register[I, O any](a *api, r route, handle func(ctx context.Context, by caller, input *I) (O, error)) {
	within := answerWithin
	if r.slow {
		within = slowWithin
	}
	status := cmp.Or(r.status, http.StatusOK)
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[O](), true, r.id+"-response")
	operation := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Description: r.description,
		DefaultStatus: status, MaxBodyBytes: cmp.Or(r.body, longestBody),
		Extensions:  map[string]any{rightOf: string(r.right)},
		Middlewares: huma.Middlewares{a.guard(r)},
		Responses:   map[string]*huma.Response{strconv.Itoa(status): {Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}},
	}
	if r.method == http.MethodPost {
		operation.Middlewares = append(operation.Middlewares, a.once(operation.MaxBodyBytes))
		operation.Parameters = []*huma.Param{keyHeader()}
	}
	huma.Register(a.huma, operation, func(ctx context.Context, input *I) (*reply, error) {
		by := caller{principal: access.From(ctx)}
		by.Client = &operatorclient.Client{Conn: a.Conn, Timeout: within, Operator: by.principal.ID}
		answer, err := handle(ctx, by, input)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &reply{Body: answer}, nil
	})
}

// ask sends a question to the service that owns the noun.
func ask[Question, Reply any](ctx context.Context, by caller, noun, verb string, question Question) (Reply, error) {
	return operatorclient.Ask[Question, Reply](ctx, by.Client, noun, verb, question)
}

// guard lets a request pass if the principal has the right and sees the customer in the path.
func (a *api) guard(r route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		principal := access.From(ctx.Context())
		customer := ctx.Param("customer")
		switch {
		case principal.ID == "":
			ctx.SetHeader("WWW-Authenticate", `Bearer realm="rollcall"`)
			a.refuse(ctx, http.StatusUnauthorized, "sign in, or send an API token: Authorization: Bearer <token>")
		case !principal.May(r.right):
			a.refuse(ctx, http.StatusForbidden, missingRight(principal, r.right))
		case r.installation && principal.Customer != "":
			a.refuse(ctx, http.StatusForbidden, "this is about the whole installation, and "+principal.ID+" is of one customer")
		case customer != "" && !principal.Sees(customer):
			a.refuse(ctx, http.StatusNotFound, notFound)
		default:
			next(ctx)
		}
	}
}

func (a *api) refuse(ctx huma.Context, status int, detail string) {
	_ = huma.WriteErr(a.huma, ctx, status, detail) // the client may have closed the connection
}

// narrow returns the customer to which a list is narrowed: the asked one, or that of the principal. Another customer's is not found.
func (by caller) narrow(customer string) (string, error) {
	if customer == "" {
		return by.principal.Customer, nil
	}
	if !by.principal.Sees(customer) {
		return "", errNotFound
	}
	return customer, nil
}

func missingRight(principal access.Principal, right access.Right) string {
	return "this needs the right " + string(right) + ", which " + principal.ID + " does not have"
}

// forbidden is the error of an operation that needs one more right for what was asked.
func forbidden(principal access.Principal, right access.Right) error {
	return huma.Error403Forbidden(missingRight(principal, right))
}
