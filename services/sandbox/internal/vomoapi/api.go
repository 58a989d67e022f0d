// Package vomoapi stands in for VOMO's HTTP API.
//
// It owns how VOMO looks on the wire: tokens, Laravel's pages and errors, filters, the upsert. It promises what
// the vendor's documents say, and where they say nothing what Laravel does. The people are package
// organisation's.
package vomoapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/life"
	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/traffic"
)

// Unknown is the name under which requests without a known token are counted.
const Unknown = "_unknown"

// BrokenBody is how an answer looks that a fault cut short.
const BrokenBody = `{"data":[{"type":"user","id":10`

// API is VOMO's side.
type API struct {
	Organisations *organisation.Directory
	Ledger        *traffic.Ledger
	Gate          *faults.Gate
	Lives         *life.Lives
	NowFunc       func() time.Time
	PerPage       int // users on a page; the caller has no say in it
}

// Routes puts VOMO's endpoints below /vomo/v1.
func (a *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /vomo/v1/users", a.forOrganisation(a.list))
	mux.HandleFunc("GET /vomo/v1/users/{id}", a.forOrganisation(a.show))
	mux.HandleFunc("POST /vomo/v1/users", a.forOrganisation(a.upsert))
	mux.HandleFunc("GET /vomo/v1/", a.forOrganisation(func(w *traffic.Recorder, _ *http.Request, _ *organisation.Organisation) {
		Refuse(w, http.StatusNotFound, "")
	}))
}

// Refuse writes an error of VOMO's. VOMO's errors have no code.
func Refuse(w http.ResponseWriter, status int, _ string) {
	text := http.StatusText(status)
	switch {
	case status == http.StatusUnauthorized:
		text = "Unauthenticated."
	case status == http.StatusForbidden:
		text = "This action is unauthorized."
	case status == http.StatusNotFound:
		text = "Resource not found."
	case status >= http.StatusInternalServerError:
		text = "Server Error"
	}
	answer.JSON(w, status, map[string]string{"message": text})
}

type endpoint func(w *traffic.Recorder, r *http.Request, o *organisation.Organisation)

// forOrganisation counts a request, lets the faults have it, and asks for a token.
func (a *API) forOrganisation(next endpoint) http.HandlerFunc {
	return func(plain http.ResponseWriter, r *http.Request) {
		name := Unknown
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		found, good := a.Organisations.Bearing(token)
		if found != nil {
			name = found.Config().Name
		}
		a.Ledger.Arrive(name)
		w := traffic.Record(plain, func(outcome string) { a.Ledger.Answered(name, outcome) })
		if !a.Gate.Pass(w, r, name, "") {
			return
		}
		if !good {
			Refuse(w, http.StatusUnauthorized, "")
			return
		}
		next(w, r, found)
	}
}

func (a *API) show(w *traffic.Recorder, r *http.Request, o *organisation.Organisation) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		Refuse(w, http.StatusNotFound, "")
		return
	}
	user, found := o.Find(id)
	if !found {
		Refuse(w, http.StatusNotFound, "")
		return
	}
	answer.JSON(w, http.StatusOK, map[string]any{"data": detailOf(o, user)})
}

// invalid writes Laravel's answer to a request whose fields are wrong.
func invalid(w http.ResponseWriter, errs map[string][]string) {
	answer.JSON(w, http.StatusUnprocessableEntity, map[string]any{"message": "The given data was invalid.", "errors": errs})
}
