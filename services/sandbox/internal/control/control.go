// Package control is the sandbox's own API: it makes organisations, moves the clock, sets faults, reports what
// was seen, and compares what VOMO has with what the CRM has.
//
// It is for tests, demonstrations and operators who try things out. It asks for no token, and it shows the
// tokens of the organisations, which are made up: the sandbox is no place for real people.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/life"
	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/shift"
	"rollcall.dev/services/sandbox/internal/traffic"
)

// API is the control API.
type API struct {
	Seed          uint64 // organisations without a seed get theirs from this and their name
	Organisations *organisation.Directory
	Records       *crm.Store
	Faults        *faults.Set
	Lives         *life.Lives
	VOMOTraffic   *traffic.Ledger
	CRMTraffic    *traffic.Ledger
	Clock         *shift.Clock
}

// Routes puts the control API below /control.
func (a *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /control/orgs", a.addOrganisation)
	mux.HandleFunc("GET /control/orgs", a.listOrganisations)
	mux.HandleFunc("GET /control/orgs/{name}/users", a.dumpUsers)
	mux.HandleFunc("POST /control/orgs/{name}/users", a.enrolUser)
	mux.HandleFunc("POST /control/orgs/{name}/users:batch", a.batchUsers)
	mux.HandleFunc("PUT /control/orgs/{name}/users/{id}", a.editUser)
	mux.HandleFunc("DELETE /control/orgs/{name}/users/{id}", a.removeUser)
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
	mux.HandleFunc("PUT /control/crm/{tenant}/token", a.setTenantToken)
	mux.HandleFunc("GET /control/compare", a.compare)
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer.JSON(w, status, map[string]string{"message": message})
}

// decode reads a request's JSON and answers it when that fails.
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

// dump streams lines of JSON. A client that goes away ends it.
func dump(w http.ResponseWriter, r *http.Request, write func(line func(any) error) error) {
	// A million lines take longer than an answer usually may.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // where there is no deadline, none is lifted
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = write(func(v any) error { // the only error is the client's going away
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
	return name, name == crm.DefaultTenant || organisation.ValidName(name)
}
