package control

import (
	"errors"
	"net/http"
	"strconv"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/person"
	"rollcall.dev/services/sandbox/internal/vomoapi"
)

func (a *API) dumpUsers(w http.ResponseWriter, r *http.Request) {
	found := a.named(w, r.PathValue("name"))
	if found == nil {
		return
	}
	dump(w, r, func(line func(any) error) error {
		for user := range found.All() {
			if err := line(vomoapi.Resource(found, user)); err != nil {
				return err
			}
		}
		return nil
	})
}

// enrolUser adds a user. What the request does not say is invented, and the times are now.
func (a *API) enrolUser(w http.ResponseWriter, r *http.Request) {
	found, fields, ok := a.userRequest(w, r)
	if !ok {
		return
	}
	user, err := found.Enrol(fields.enrolment(a.Clock.Now()))
	answerUser(w, http.StatusCreated, found, user, err)
}

// editUser changes the fields that the request has, and the time of update, which is now unless it says.
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

// userRequest reads a request about a user and answers it when something is wrong with it.
func (a *API) userRequest(w http.ResponseWriter, r *http.Request) (*organisation.Organisation, userFields, bool) {
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

func answerUser(w http.ResponseWriter, status int, o *organisation.Organisation, user person.Person, err error) {
	if err != nil {
		refuseChange(w, err)
		return
	}
	answer.JSON(w, status, vomoapi.Resource(o, user))
}

// refuseChange answers a change that the organisation did not make.
func refuseChange(w http.ResponseWriter, err error) {
	status := http.StatusUnprocessableEntity
	switch {
	case errors.Is(err, organisation.ErrUnknown):
		status = http.StatusNotFound
	case errors.Is(err, organisation.ErrTaken):
		status = http.StatusConflict
	}
	refuse(w, status, err.Error())
}
