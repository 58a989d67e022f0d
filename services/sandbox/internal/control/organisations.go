package control

import (
	"errors"
	"net/http"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/vomo"
)

type organisationView struct {
	Name  string      `json:"name"`
	Token string      `json:"token"`
	Users int         `json:"users"`
	Seed  uint64      `json:"seed"`
	IDs   vomo.IDForm `json:"ids"`
	Order vomo.Order  `json:"order"`

	Imported int  `json:"imported,omitempty"`
	Revoked  bool `json:"revoked"`
}

func (a *API) view(o *vomo.Organisation) organisationView {
	config := o.Config()
	return organisationView{
		Name: config.Name, Token: config.Token, Users: o.Count(), Seed: config.Seed,
		IDs: config.IDs, Order: config.Order, Imported: config.Imported, Revoked: a.Organisations.Revoked(config.Name),
	}
}

func (a *API) addOrganisation(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Name  string      `json:"name"`
		Token string      `json:"token"`
		Users int         `json:"users"`
		Seed  *uint64     `json:"seed"`
		IDs   vomo.IDForm `json:"ids"`
		Order vomo.Order  `json:"order"`

		Imported int `json:"imported"`
	}
	if !decode(w, r, &request) {
		return
	}
	seed := vomo.DefaultSeed(a.Seed, request.Name)
	if request.Seed != nil {
		seed = *request.Seed
	}
	made, err := a.Organisations.Add(vomo.Config{
		Name: request.Name, Token: request.Token, Users: request.Users, Seed: seed, IDs: request.IDs, Order: request.Order,
		Imported: request.Imported,
	})
	switch {
	case errors.Is(err, vomo.ErrTaken):
		refuse(w, http.StatusConflict, err.Error())
	case err != nil:
		refuse(w, http.StatusUnprocessableEntity, err.Error())
	default:
		answer.JSON(w, http.StatusCreated, a.view(made))
	}
}

func (a *API) listOrganisations(w http.ResponseWriter, _ *http.Request) {
	views := []organisationView{}
	for _, o := range a.Organisations.All() {
		views = append(views, a.view(o))
	}
	answer.JSON(w, http.StatusOK, map[string]any{"orgs": views})
}

// named returns the organisation of a path. It answers the request if there is none.
func (a *API) named(w http.ResponseWriter, name string) *vomo.Organisation {
	found := a.Organisations.Named(name)
	if found == nil {
		refuse(w, http.StatusNotFound, "no such organisation")
	}
	return found
}

func (a *API) revoke(w http.ResponseWriter, r *http.Request) {
	a.changeToken(w, r, a.Organisations.Revoke)
}

func (a *API) restore(w http.ResponseWriter, r *http.Request) {
	a.changeToken(w, r, a.Organisations.Restore)
}

func (a *API) changeToken(w http.ResponseWriter, r *http.Request, change func(name string) bool) {
	if !change(r.PathValue("name")) {
		refuse(w, http.StatusNotFound, "no such organisation")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) setLife(w http.ResponseWriter, r *http.Request) {
	found := a.named(w, r.PathValue("name"))
	var script vomo.Script
	if found == nil || !decode(w, r, &script) {
		return
	}
	if err := a.Lives.Set(found.Config().Name, script); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// showLife answers with what an organisation's script has done.
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
