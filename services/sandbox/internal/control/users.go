package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/vomo"
)

func (a *API) dumpUsers(w http.ResponseWriter, r *http.Request) {
	found := a.named(w, r.PathValue("name"))
	if found == nil {
		return
	}
	dump(w, r, func(line func(any) error) error {
		for user := range found.All() {
			if err := line(vomo.Resource(found, user)); err != nil {
				return err
			}
		}
		return nil
	})
}

// enrolUser adds a user. Fields that the request does not have are invented, and the times are the current time.
func (a *API) enrolUser(w http.ResponseWriter, r *http.Request) {
	found, fields, ok := a.userRequest(w, r)
	if !ok {
		return
	}
	user, err := found.Enrol(fields.enrolment(a.Clock.Now()))
	answerUser(w, http.StatusCreated, found, user, err)
}

// editUser changes the fields that the request has. The time of update is the current time, unless the request has it.
func (a *API) editUser(w http.ResponseWriter, r *http.Request) {
	found, fields, ok := a.userRequest(w, r)
	if !ok {
		return
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		refuse(w, http.StatusNotFound, "no such user")
		return
	}
	user, err := found.Edit(id, fields.edition(a.Clock.Now()))
	answerUser(w, http.StatusOK, found, user, err)
}

// setParticipations replaces what the detail of a user shows besides the fields of lists. As in VOMO, that does not move the time of
// update. The values are not checked: VOMO does not document their form.
func (a *API) setParticipations(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Participations json.RawMessage `json:"participations"`
		ProfileFields  json.RawMessage `json:"profile_field_values"`
	}
	found := a.named(w, r.PathValue("name"))
	if found == nil || !decode(w, r, &request) {
		return
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		refuse(w, http.StatusNotFound, "no such user")
		return
	}
	user, err := found.Edit(id, func(p *vomo.Person) {
		p.Participations, p.ProfileFields = request.Participations, request.ProfileFields
	})
	answerUser(w, http.StatusOK, found, user, err)
}

func (a *API) removeUser(w http.ResponseWriter, r *http.Request) {
	found := a.named(w, r.PathValue("name"))
	if found == nil {
		return
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || !found.Remove(id) {
		refuse(w, http.StatusNotFound, "no such user")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// restoreUser brings a deleted user back as it was.
func (a *API) restoreUser(w http.ResponseWriter, r *http.Request) {
	found := a.named(w, r.PathValue("name"))
	if found == nil {
		return
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		refuse(w, http.StatusNotFound, "no such user")
		return
	}
	user, err := found.Restore(id)
	answerUser(w, http.StatusOK, found, user, err)
}

// userRequest reads a request about a user. It answers the request if it is invalid.
func (a *API) userRequest(w http.ResponseWriter, r *http.Request) (*vomo.Organisation, userFields, bool) {
	var fields userFields
	found := a.named(w, r.PathValue("name"))
	if found == nil || !decode(w, r, &fields) {
		return nil, fields, false
	}
	if name := fields.wrongNull(); name != "" {
		refuse(w, http.StatusUnprocessableEntity, "field "+name+" cannot be null")
		return nil, fields, false
	}
	return found, fields, true
}

func answerUser(w http.ResponseWriter, status int, o *vomo.Organisation, user vomo.Person, err error) {
	if err != nil {
		refuseChange(w, err)
		return
	}
	answer.JSON(w, status, vomo.Resource(o, user))
}

// refuseChange answers a request whose change failed.
func refuseChange(w http.ResponseWriter, err error) {
	status := http.StatusUnprocessableEntity
	switch {
	case errors.Is(err, vomo.ErrUnknown):
		status = http.StatusNotFound
	case errors.Is(err, vomo.ErrTaken):
		status = http.StatusConflict
	}
	refuse(w, status, err.Error())
}

// given is a field of a request: missing, null or a value.
type given[T any] struct {
	isGiven bool
	value   *T // nil for null
}

// UnmarshalJSON is called for each field in the request, also for null.
func (g *given[T]) UnmarshalJSON(text []byte) error {
	g.isGiven = true
	if err := json.Unmarshal(text, &g.value); err != nil {
		return fmt.Errorf("decode field: %w", err)
	}
	return nil
}

func (g given[T]) set(into *T) {
	if g.value != nil {
		*into = *g.value
	}
}

func (g given[T]) setNullable(into **T) {
	if g.isGiven {
		*into = g.value
	}
}

// userFields are the fields of a user in a request. Values are not checked: VOMO may have odd ones, too.
type userFields struct {
	FirstName        given[string]    `json:"first_name"`
	LastName         given[string]    `json:"last_name"`
	Email            given[string]    `json:"email"`
	Address          given[string]    `json:"address"`
	Phone            given[string]    `json:"phone"`
	Birthday         given[string]    `json:"birthday"`
	Gender           given[string]    `json:"gender"`
	UserStatus       given[string]    `json:"user_status"`
	MembershipStatus given[string]    `json:"membership_status"`
	MembershipRole   given[string]    `json:"membership_role"`
	CreatedAt        given[time.Time] `json:"created_at"` // RFC 3339
	UpdatedAt        given[time.Time] `json:"updated_at"`
	BelongsElsewhere given[bool]      `json:"belongs_elsewhere"`
}

// wrongNull returns the name of a field that is null and must not be, or "".
func (f userFields) wrongNull() string {
	for _, field := range []struct {
		name string
		null bool
	}{
		{"first_name", f.FirstName.isGiven && f.FirstName.value == nil},
		{"last_name", f.LastName.isGiven && f.LastName.value == nil},
		{"membership_status", f.MembershipStatus.isGiven && f.MembershipStatus.value == nil},
		{"membership_role", f.MembershipRole.isGiven && f.MembershipRole.value == nil},
		{"created_at", f.CreatedAt.isGiven && f.CreatedAt.value == nil},
		{"updated_at", f.UpdatedAt.isGiven && f.UpdatedAt.value == nil},
		{"belongs_elsewhere", f.BelongsElsewhere.isGiven && f.BelongsElsewhere.value == nil},
	} {
		if field.null {
			return field.name
		}
	}
	return ""
}

// apply sets the fields that the request has.
func (f userFields) apply(p *vomo.Person) {
	f.FirstName.set(&p.FirstName)
	f.LastName.set(&p.LastName)
	f.Email.setNullable(&p.Email)
	f.Address.setNullable(&p.Address)
	f.Phone.setNullable(&p.Phone)
	f.Birthday.setNullable(&p.Birthday)
	f.Gender.setNullable(&p.Gender)
	f.UserStatus.setNullable(&p.UserStatus)
	f.MembershipStatus.set(&p.MembershipStatus)
	f.MembershipRole.set(&p.MembershipRole)
	f.CreatedAt.set(&p.Created)
	f.UpdatedAt.set(&p.Updated)
	f.BelongsElsewhere.set(&p.BelongsElsewhere)
}

// enrolment sets the fields of an invented user. Missing times are the current time.
func (f userFields) enrolment(now time.Time) func(*vomo.Person) {
	return func(p *vomo.Person) {
		p.Created, p.Updated = now, now
		// If the request has one time, the other must not be on its wrong side.
		if at := f.UpdatedAt.value; at != nil && at.Before(now) {
			p.Created = *at
		}
		if at := f.CreatedAt.value; at != nil && at.After(now) {
			p.Updated = *at
		}
		f.apply(p)
	}
}

// edition sets the fields of a user. A missing time of update is the current time.
func (f userFields) edition(now time.Time) func(*vomo.Person) {
	return func(p *vomo.Person) {
		p.Updated = now
		if now.Before(p.Created) { // an invented user may be created after the current time
			p.Updated = p.Created
		}
		f.apply(p)
	}
}
