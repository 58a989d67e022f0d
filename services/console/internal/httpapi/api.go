package httpapi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// Prefix is the path under which the API is served.
const Prefix = "/api/v1"

// Deps is what the API needs of the service.
type Deps struct {
	Conn   *nats.Conn
	Logger *zap.Logger

	// Answers to requests that name a key are kept here.
	Store  *store.Store
	Vault  *vault.Vault
	KeyAge time.Duration
}

// api registers operations.
type api struct {
	Deps

	huma huma.API
	tags etags
}

// New returns the handler of everything under Prefix. The handler around it puts the principal into the context.
func New(deps Deps) http.Handler {
	handler, _ := build(deps)
	return handler
}

func build(deps Deps) (http.Handler, *huma.OpenAPI) {
	mux := http.NewServeMux()
	a := &api{Deps: deps, tags: newETags()}
	a.huma = humago.NewWithPrefix(mux, Prefix, settings())
	for _, add := range []func(){
		a.customerRoutes, a.onboardingRoutes, a.configRoutes, a.backfillRoutes, a.runRoutes, a.recordRoutes, a.letterRoutes, a.reviewRoutes,
		a.deletionRoutes, a.donationRoutes, a.contactRoutes, a.webhookRoutes, a.alertRoutes,
		a.endpointRoutes, a.grantRoutes,
	} {
		add()
	}
	document := a.huma.OpenAPI()
	allowNull(document.Components.Schemas)
	mux.HandleFunc("GET "+Prefix+"/openapi.json", a.serveDocument(document))
	return a.tags.wrap(withProblems(mux)), document
}

// settings leaves out what package huma adds by default: its page of documentation loads scripts from another host, and its links to schemas
// add a field to each answer.
func settings() huma.Config {
	format := huma.Format{
		Marshal:   huma.DefaultJSONFormat.Marshal,
		Unmarshal: huma.DefaultJSONFormat.Unmarshal,
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "rollcall", Version: service.Version,
				Description: "What the operator's command can do, over HTTP. docs/api.md explains pages, problems and ETags.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", nameOf),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "An API token."},
				},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{hideValues},
	}
}

// serveDocument serves the OpenAPI document, which is the same for everybody.
func (a *api) serveDocument(document *huma.OpenAPI) http.HandlerFunc {
	encoded, err := json.Marshal(document)
	return func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			a.Logger.Error("OpenAPI document not encoded", zap.Error(err))
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(encoded) // the client may have closed the connection
	}
}

// rightOf is the name under which the document says which right an operation needs.
const rightOf = "x-rollcall-right"
