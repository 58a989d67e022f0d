// Package control is the sandbox's own API: it makes organisations of VOMO and of Virtuous, moves the clock, sets faults,
// reports the requests, compares VOMO's users with the CRM's records, and acts as Virtuous' staff.
//
// It is for tests, demonstrations and operators who try rollcall. It requires no token, and it shows the organisations'
// tokens: the sandbox is not for real people's data.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/clock"
	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/traffic"
	"rollcall.dev/services/sandbox/internal/vomo"
)

// API is the control API.
type API struct {
	Seed          uint64 // with the name, it makes the seed of an organisation whose request has none
	Organisations *vomo.Directory
	Records       *crm.Store
	Faults        *faults.Set
	Lives         *vomo.Lives
	VOMOTraffic   *traffic.Ledger
	CRMTraffic    *traffic.Ledger
	Clock         *clock.Clock
	Virtuous      Virtuous
}

// Routes adds the control API below /control.
func (a *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /control/orgs", a.addOrganisation)
	mux.HandleFunc("GET /control/orgs", a.listOrganisations)
	mux.HandleFunc("GET /control/orgs/{name}/users", a.dumpUsers)
	mux.HandleFunc("POST /control/orgs/{name}/users", a.enrolUser)
	mux.HandleFunc("POST /control/orgs/{name}/users:batch", a.batchUsers)
	mux.HandleFunc("PUT /control/orgs/{name}/users/{id}", a.editUser)
	mux.HandleFunc("PUT /control/orgs/{name}/users/{id}/participations", a.setParticipations)
	mux.HandleFunc("DELETE /control/orgs/{name}/users/{id}", a.removeUser)
	mux.HandleFunc("POST /control/orgs/{name}/users/{id}/restore", a.restoreUser)
	mux.HandleFunc("POST /control/orgs/{name}/revoke", a.revoke)
	mux.HandleFunc("POST /control/orgs/{name}/restore", a.restore)
	mux.HandleFunc("PUT /control/orgs/{name}/life", a.setLife)
	mux.HandleFunc("GET /control/orgs/{name}/life", a.showLife)
	mux.HandleFunc("DELETE /control/orgs/{name}/life", a.endLife)

	mux.HandleFunc("GET /control/clock", a.showClock)
	mux.HandleFunc("PUT /control/clock", a.moveClock)

	mux.HandleFunc("POST /control/faults", a.addFault)
	mux.HandleFunc("GET /control/faults", a.listFaults)
	mux.HandleFunc("DELETE /control/faults", a.clearFaults)
	mux.HandleFunc("DELETE /control/faults/{id}", a.removeFault)

	mux.HandleFunc("GET /control/report", a.report)
	mux.HandleFunc("POST /control/report/reset", a.resetReport)
	mux.HandleFunc("GET /control/crm/{tenant}/users", a.dumpRecords)
	mux.HandleFunc("PUT /control/crm/{tenant}/users/{external_id}", a.editRecord)
	mux.HandleFunc("PUT /control/crm/{tenant}/token", a.setTenantToken)
	mux.HandleFunc("GET /control/compare", a.compare)
	a.virtuousRoutes(mux)
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer.JSON(w, status, map[string]string{"message": message})
}

// decode reads a request's JSON. It answers the request if that fails.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	err := answer.Decode(w, r, into)
	switch {
	case errors.Is(err, answer.ErrTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, err.Error())
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
	}
	return err == nil
}

// dump streams lines of JSON until the client closes the connection.
func dump(w http.ResponseWriter, r *http.Request, write func(line func(any) error) error) {
	// A million lines take longer than the server's write timeout.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a writer without deadlines needs no change
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = write(func(v any) error { // the only error is a closed connection
		if err := r.Context().Err(); err != nil {
			return fmt.Errorf("write line: %w", err)
		}
		if err := encoder.Encode(v); err != nil {
			return fmt.Errorf("write line: %w", err)
		}
		return nil
	})
}

// tenantOf reads the tenant of a path or a query: "" is the default one.
func tenantOf(name string) (string, bool) {
	if name == "" {
		name = crm.DefaultTenant
	}
	return name, name == crm.DefaultTenant || vomo.ValidName(name)
}

type clockView struct {
	Now           string  `json:"now"`           // RFC 3339 with fractions, UTC
	OffsetSeconds float64 `json:"offsetSeconds"` // to the real clock
}

func (a *API) showClock(w http.ResponseWriter, _ *http.Request) {
	now, offset := a.Clock.Read()
	answer.JSON(w, http.StatusOK, clockView{Now: now.UTC().Format(time.RFC3339Nano), OffsetSeconds: offset.Seconds()})
}

// moveClock sets the offset or adds to it. An empty request is rejected: it would look like a reset.
func (a *API) moveClock(w http.ResponseWriter, r *http.Request) {
	var request struct {
		OffsetSeconds  *float64 `json:"offsetSeconds"`
		AdvanceSeconds *float64 `json:"advanceSeconds"`
	}
	if !decode(w, r, &request) {
		return
	}
	var err error
	switch {
	case (request.OffsetSeconds == nil) == (request.AdvanceSeconds == nil):
		refuse(w, http.StatusUnprocessableEntity, "one of offsetSeconds and advanceSeconds is required")
		return
	case request.OffsetSeconds != nil:
		err = a.Clock.Set(*request.OffsetSeconds)
	default:
		err = a.Clock.Advance(*request.AdvanceSeconds)
	}
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	a.Virtuous.Organisations.Advance(a.Clock.Now()) // the midnights between
	a.showClock(w, r)
}

func (a *API) addFault(w http.ResponseWriter, r *http.Request) {
	var rule faults.Rule
	if !decode(w, r, &rule) {
		return
	}
	id, err := a.Faults.Add(rule)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	answer.JSON(w, http.StatusCreated, map[string]string{"id": id})
}

func (a *API) listFaults(w http.ResponseWriter, _ *http.Request) {
	answer.JSON(w, http.StatusOK, map[string]any{"faults": a.Faults.Entries()})
}

func (a *API) removeFault(w http.ResponseWriter, r *http.Request) {
	if !a.Faults.Remove(r.PathValue("id")) {
		refuse(w, http.StatusNotFound, "no such fault")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) clearFaults(w http.ResponseWriter, _ *http.Request) {
	a.Faults.Clear()
	w.WriteHeader(http.StatusNoContent)
}
