package control

import (
	"net/http"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
)

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
