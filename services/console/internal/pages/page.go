package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

// askTimeout is how long a page waits for a service. A page is asked again by its reader sooner than that.
const askTimeout = 5 * time.Second

// Site serves the pages. Its fields are set before Handler is called.
type Site struct {
	Store     *store.Store
	Conn      *nats.Conn
	JetStream jetstream.JetStream
	Settings  config.Config
	Limits    dailyreport.Limits // of the report of giving
	Floors    dailyreport.Floors
	Logger    *zap.Logger

	// Authenticate finds out again who sends a request: an open page ends when its link is revoked.
	Authenticate func(*http.Request) (access.Principal, error)

	board report.KeptBoard
	views *http.ServeMux // of the pages, to render them again for live updates
	feeds feeds
	beat  time.Duration // 0: beatEvery
}

// Page is one page: its parts are fragments, so that a live page replaces only what has changed.
type Page struct {
	Title     string
	Section   string // the noun of the rail
	Customer  string // whose page it is; "": of all
	Fragments []Fragment
	Still     bool // not live: making it costs requests, or a line in the audit
}

// Fragment is a part of a page that is replaced as a whole.
type Fragment struct {
	ID   string
	Body templ.Component
}

// view makes a page for a request. It returns store.ErrNotFound, errForbidden and what operatorclient returns.
type view func(r *http.Request, who access.Principal) (Page, error)

// errForbidden means that the principal lacks a right. What another customer has is store.ErrNotFound, so that nothing tells it exists.
var errForbidden = errors.New("this needs a right that you do not have")

// Handler returns the pages. Requests have their principal in the context.
func (s *Site) Handler() http.Handler {
	s.views = http.NewServeMux()
	for pattern, one := range map[string]view{
		"/customers":                s.customers,
		"/customers/{customer}":     s.customer,
		"/letters":                  s.letters,
		"/letters/{letter}":         s.letter,
		"/drains/{drain}":           s.drain,
		"/held":                     s.held,
		"/held/{customer}/{entity}": s.heldRun,
		"/review":                   s.review,
		"/review/{customer}/{item}": s.reviewItem,
		"/alerts":                   s.alerts,
		"/streams":                  s.streams,
		"/record":                   s.record,
		"/audit":                    s.audit,
		"/settings":                 s.settings,
		"/search":                   s.searchForm,
		"/endpoints":                s.endpoints,
		"/endpoints/{endpoint}":     s.endpoint,
	} {
		s.views.Handle("GET "+pattern, s.show(one))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", s.views)
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("GET /customers/{customer}/reports/{file}", s.report)
	mux.HandleFunc("GET /assets/{version}/{file}", serveAsset)
	s.addActs(mux)
	mux.HandleFunc("POST /search", s.search)
	return mux
}

// client asks the services in the name of a principal.
func (s *Site) client(who access.Principal) *operatorclient.Client {
	return &operatorclient.Client{Conn: s.Conn, Timeout: askTimeout, Operator: who.ID}
}

// installation returns the limits that hold for customers without their own.
func (s *Site) installation() budget.Limits {
	return budget.Limits{PerSecond: s.Settings.VomoRequestsPerSecond, PerMinute: s.Settings.VomoRequestsPerMinute}
}

type capturedKey struct{}

// captured is where a view's page goes if it is rendered for a live update, and not for a browser.
type captured struct {
	page Page
	err  error
}

// show answers with a view's page. If the context has a place for the page, it goes there.
func (s *Site) show(one view) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := access.From(r.Context())
		if !who.May(access.Read) {
			http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		page, err := one(r, who)
		if into, ok := r.Context().Value(capturedKey{}).(*captured); ok {
			into.page, into.err = page, err
			return
		}
		status := http.StatusOK
		if err != nil {
			status, page = s.problem(r, err)
		}
		s.write(w, r, who, status, page)
	})
}

// write answers with a whole page.
func (s *Site) write(w http.ResponseWriter, r *http.Request, who access.Principal, status int, page Page) {
	shell, err := s.shell(r.Context(), r, who, page)
	if err != nil {
		s.Logger.Error("page not made", zap.String("path", r.URL.Path), zap.Error(err))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := layout(shell, page).Render(r.Context(), w); err != nil && r.Context().Err() == nil {
		s.Logger.Warn("page not sent", zap.String("path", r.URL.Path), zap.Error(err))
	}
}

// problem returns the page for a request that cannot be answered.
func (s *Site) problem(r *http.Request, err error) (int, Page) {
	status, words := explainError(err)
	if status == http.StatusInternalServerError {
		s.Logger.Error("page not made", zap.String("path", r.URL.Path), zap.Error(err))
	}
	return status, Page{Title: words.Title, Fragments: []Fragment{{ID: "problem", Body: problemBody(words)}}}
}

// problemWords say what went wrong, and what helps.
type problemWords struct{ Title, Text, Remedy string }

func explainError(err error) (int, problemWords) {
	var unanswered *operatorclient.UnansweredError
	var rejected *operatorclient.RejectedError
	var ambiguous *report.AmbiguousLetterError
	switch {
	case errors.Is(err, store.ErrNotFound), operatorclient.IsUnknown(err):
		return http.StatusNotFound, problemWords{"Not found", "There is nothing at this address, or you may not see it.",
			"Check the address, or start from the list of customers."}
	case errors.Is(err, errForbidden):
		return http.StatusForbidden, problemWords{"Not allowed", "Your sign-in does not have the right that this needs.",
			"Ask an administrator of rollcall for it."}
	case errors.As(err, &unanswered):
		return http.StatusServiceUnavailable, problemWords{
			"The " + unanswered.Service + " service does not answer",
			"This page needs it. The other pages work.", "Check that it runs: rollcall doctor.",
		}
	case errors.As(err, &ambiguous):
		return http.StatusConflict, problemWords{"More than one letter", capitalised(ambiguous.Error()) + ".", "Give more characters of the id."}
	case errors.As(err, &rejected) && rejected.Code != service.CodeInternal:
		return statusOf(rejected.Code), problemWords{"Not possible", sentence(rejected), "Change what you asked for, and try again."}
	case errors.Is(err, store.ErrUnavailable):
		return http.StatusServiceUnavailable, problemWords{"Postgres does not answer", "All work is paused and goes on by itself.",
			"Check that Postgres runs: rollcall doctor."}
	}
	return http.StatusInternalServerError, problemWords{"Something went wrong", "The console's log says more.", "Try again in a moment."}
}

func statusOf(code string) int {
	switch code {
	case service.CodeConflict:
		return http.StatusConflict
	case service.CodeBusy:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// sentence returns what a service answered, with the errors of each field.
func sentence(rejected *operatorclient.RejectedError) string {
	parts := []string{capitalised(rejected.Text)}
	for field, errs := range rejected.Fields.Errors {
		parts = append(parts, fmt.Sprintf("%s: %s", field, strings.Join(errs, "; ")))
	}
	return strings.Join(parts, ". ")
}

// home leads to where the principal's work begins.
func (s *Site) home(w http.ResponseWriter, r *http.Request) {
	at := "/customers"
	if who := access.From(r.Context()); who.Customer != "" {
		at = customerPath(who.Customer)
	}
	http.Redirect(w, r, at, http.StatusSeeOther)
}

// onlyFor returns the customer of a path, if the principal may see it.
func onlyFor(r *http.Request, who access.Principal) (string, error) {
	customer := r.PathValue("customer")
	if !who.Sees(customer) {
		return "", store.ErrNotFound
	}
	return customer, nil
}

// chosen returns the customer by which a list is filtered: a principal of one customer sees no other.
func chosen(r *http.Request, who access.Principal) string {
	if who.Customer != "" {
		return who.Customer
	}
	return r.URL.Query().Get("customer")
}

// shell is what surrounds a page.
type shell struct {
	Who     access.Principal
	Counts  counts
	Section string
	Live    string    // the address whose fragments are followed; "": none
	Now     time.Time // the database's, from which the script computes relative times
	Flash   flash
	Asset   func(string) string
}

func (s *Site) shell(ctx context.Context, r *http.Request, who access.Principal, page Page) (shell, error) {
	made := shell{Who: who, Section: page.Section, Asset: assetPath, Flash: flashOf(r)}
	if page.Section != "" && !page.Still {
		made.Live = r.URL.RequestURI()
	}
	if !who.May(access.Read) {
		return made, nil
	}
	var err error
	if made.Now, err = s.Store.Now(ctx); err != nil || who.Customer != "" {
		return made, err
	}
	lines, asOf, err := s.board.Lines(ctx, s.Store)
	made.Counts = countsOf(lines, asOf)
	return made, err
}

func customerPath(customer string) string { return "/customers/" + url.PathEscape(customer) }
