// Package vomo stands in for VOMO.
//
// It owns the organisations and their people, and VOMO's HTTP API: tokens, Laravel's pages and errors, filters, the
// upsert by email. People are invented from a seed, and are changed by upserts, by the control API, and by scripts
// that run while a client reads the list (see Life). None of the people exist.
//
// It promises to answer as the vendor's documents say and, if they say nothing, as Laravel does. A page without filters
// costs the same in an organisation of a million people as in one of ten. Memory holds 24 bytes for each person (twice
// that in the order of updates), and each edited person. It does not know what a client does with a list.
package vomo

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/traffic"
)

// Unknown is the name under which the ledger counts requests without a known token.
const Unknown = "_unknown"

// BrokenBody is the body of an answer that a fault cuts short.
const BrokenBody = `{"data":[{"type":"user","id":10`

// API is VOMO's HTTP API.
type API struct {
	Organisations *Directory
	Ledger        *traffic.Ledger
	Gate          *faults.Gate
	Lives         *Lives
	NowFunc       func() time.Time
	PerPage       int // users on a page; a request cannot change it
}

// Routes adds VOMO's endpoints below /vomo/v1.
func (a *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /vomo/v1/users", a.forOrganisation(a.list))
	mux.HandleFunc("GET /vomo/v1/users/{id}", a.forOrganisation(a.show))
	mux.HandleFunc("POST /vomo/v1/users", a.forOrganisation(a.upsert))
	mux.HandleFunc("GET /vomo/v1/", a.forOrganisation(func(w *traffic.Recorder, _ *http.Request, _ *Organisation) {
		Refuse(w, http.StatusNotFound, "")
	}))
}

// Refuse writes an error as VOMO does. VOMO's errors have no code.
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

type endpoint func(w *traffic.Recorder, r *http.Request, o *Organisation)

// forOrganisation counts a request, applies the faults, and checks the token.
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
		if !a.Gate.Pass(w, r, faults.Request{Name: name, Record: r.PathValue("id")}) {
			return
		}
		if !good {
			Refuse(w, http.StatusUnauthorized, "")
			return
		}
		next(w, r, found)
	}
}

func (a *API) show(w *traffic.Recorder, r *http.Request, o *Organisation) {
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

// invalid writes Laravel's answer to a request with invalid fields.
func invalid(w http.ResponseWriter, errs map[string][]string) {
	answer.JSON(w, http.StatusUnprocessableEntity, map[string]any{"message": "The given data was invalid.", "errors": errs})
}

// timeForm is how VOMO writes a time: whole seconds and a numeric offset, never Z.
const timeForm = "2006-01-02T15:04:05-07:00"

// User is a user as VOMO lists them (UserResource).
type User struct {
	Type             string  `json:"type"`
	ID               any     `json:"id"` // int64 or string
	FirstName        string  `json:"first_name"`
	LastName         string  `json:"last_name"`
	FullName         string  `json:"full_name"`
	Email            *string `json:"email"`
	Address          *string `json:"address"`
	Phone            *string `json:"phone"`
	Birthday         *string `json:"birthday"`
	Gender           *string `json:"gender"`
	CreatedAt        string  `json:"created_at"`
	UpdatedAt        string  `json:"updated_at"`
	UserStatus       *string `json:"user_status"`
	MembershipStatus string  `json:"membership_status"`
	MembershipRole   string  `json:"membership_role"`
}

// detail is a user as VOMO shows a single one (UserDetailResource).
type detail struct {
	User
	Participations     json.RawMessage `json:"participations"`
	ProfileFieldValues json.RawMessage `json:"profile_field_values"`
}

// Resource returns a person as the organisation's list shows them.
func Resource(o *Organisation, p Person) User {
	return User{
		Type:             "user",
		ID:               o.WireID(p.ID),
		FirstName:        p.FirstName,
		LastName:         p.LastName,
		FullName:         p.FullName(),
		Email:            p.Email,
		Address:          p.Address,
		Phone:            p.Phone,
		Birthday:         p.Birthday,
		Gender:           p.Gender,
		CreatedAt:        p.Created.UTC().Format(timeForm),
		UpdatedAt:        p.Updated.UTC().Format(timeForm),
		UserStatus:       p.UserStatus,
		MembershipStatus: p.MembershipStatus,
		MembershipRole:   p.MembershipRole,
	}
}

func detailOf(o *Organisation, p Person) detail {
	return detail{User: Resource(o, p), Participations: listOr(p.Participations), ProfileFieldValues: listOr(p.ProfileFields)}
}

func listOr(list json.RawMessage) json.RawMessage {
	if len(list) == 0 {
		return json.RawMessage("[]")
	}
	return list
}

// parseTime reads the time of a filter: RFC 3339, a time without a zone (then it is UTC), or a date. A date as the
// upper end includes the whole day.
func parseTime(text string, upper bool) (time.Time, bool) {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime} {
		if at, err := time.Parse(form, text); err == nil {
			return at, true
		}
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, false
	}
	if upper {
		day = day.AddDate(0, 0, 1).Add(-time.Second)
	}
	return day, true
}
