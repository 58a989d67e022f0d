package control

import (
	"net/http"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/life"
)

func (a *API) setLife(w http.ResponseWriter, r *http.Request) {
	found := a.named(w, r.PathValue("name"))
	var script life.Script
	if found == nil || !decode(w, r, &script) {
		return
	}
	if err := a.Lives.Set(found.Config().Name, script); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// showLife tells what an organisation's script has done so far.
func (a *API) showLife(w http.ResponseWriter, r *http.Request) {
	report, found := a.Lives.Report(r.PathValue("name"))
	if !found {
		refuse(w, http.StatusNotFound, "no script for this organisation")
		return
	}
	answer.JSON(w, http.StatusOK, report)
}

func (a *API) endLife(w http.ResponseWriter, r *http.Request) {
	if !a.Lives.Clear(r.PathValue("name")) {
		refuse(w, http.StatusNotFound, "no script for this organisation")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
