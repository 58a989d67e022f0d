package control

import (
	"encoding/json"
	"errors"
	"net/http"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/delivery"
	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/traffic"
	"rollcall.dev/services/sandbox/internal/virtuous"
	"rollcall.dev/services/sandbox/internal/vomo"
)

// Virtuous is what the control API changes and shows of Virtuous.
type Virtuous struct {
	Organisations *gifts.Directory
	Quotas        *virtuous.Quotas
	Sender        *delivery.Sender
	Traffic       *traffic.Ledger
}

func (a *API) virtuousRoutes(mux *http.ServeMux) {
	const base = "/control/virtuous/orgs"
	mux.HandleFunc("POST "+base, a.addVirtuous)
	mux.HandleFunc("GET "+base, a.listVirtuous)
	for pattern, next := range map[string]func(http.ResponseWriter, *http.Request, *gifts.Organisation){
		"GET /settings":              a.showSettings,
		"PUT /settings":              a.changeSettings,
		"PUT /key":                   a.changeKey,
		"GET /oauth":                 a.showOAuth,
		"PUT /oauth":                 a.changeOAuth,
		"GET /quota":                 a.showQuota,
		"PUT /quota":                 a.changeQuota,
		"GET /ledger":                a.showLedger,
		"GET /transactions":          a.dumpTransactions,
		"POST /transactions:resolve": a.decideTransactions(gifts.Resolve),
		"POST /transactions:create":  a.decideTransactions(gifts.Create),
		"POST /transactions:discard": a.decideTransactions(gifts.Discard),
		"GET /imports":               a.dumpImports,
		"POST /imports:bundle":       a.bundleImports,
		"POST /imports:run":          a.runImports,
		"GET /gifts":                 a.dumpGifts,
		"POST /gifts":                a.addGifts,
		"PUT /gifts/{id}":            a.editGift,
		"DELETE /gifts/{id}":         a.deleteGift,
		"POST /gifts/{id}/restore":   a.restoreGift,
		"POST /gifts/{id}/reverse":   a.reverseGift,
		"GET /contacts":              a.dumpContacts,
		"POST /contacts":             a.addContacts,
		"PUT /contacts/{id}":         a.editContact,
		"POST /contacts:merge":       a.mergeContacts,
		"GET /projects":              a.dumpProjects,
		"PUT /projects/{code}":       a.putProject,
		"GET /subscriptions":         a.dumpSubscriptions,
		"GET /events":                a.dumpEvents,
		"POST /deliver":              a.deliver,
		"POST /send":                 a.sendBody,
	} {
		method, path := cutPattern(pattern)
		mux.HandleFunc(method+" "+base+"/{name}"+path, func(w http.ResponseWriter, r *http.Request) {
			found := a.Virtuous.Organisations.Named(r.PathValue("name"))
			if found == nil {
				refuse(w, http.StatusNotFound, "no such organisation of Virtuous")
				return
			}
			found.Advance(a.Clock.Now())
			next(w, r, found)
		})
	}
}

type virtuousView struct {
	Name     string         `json:"name"`
	ID       int64          `json:"id"`
	Key      string         `json:"key"`
	KeyState string         `json:"keyState"`
	Seed     uint64         `json:"seed"`
	Settings gifts.Settings `json:"settings"`
}

func viewOf(o *gifts.Organisation) virtuousView {
	is := o.Identity()
	return virtuousView{Name: is.Name, ID: is.ID, Key: is.Key, KeyState: is.KeyState, Seed: is.Seed, Settings: is.Settings}
}

func (a *API) addVirtuous(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Name     string          `json:"name"`
		Key      string          `json:"key"`
		Seed     *uint64         `json:"seed"`
		Settings json.RawMessage `json:"settings"` // those that differ from the defaults
	}
	if !decode(w, r, &request) {
		return
	}
	config := gifts.Config{
		Name: request.Name, Key: request.Key, Seed: vomo.DefaultSeed(a.Seed, request.Name), Settings: gifts.DefaultSettings(),
	}
	if request.Seed != nil {
		config.Seed = *request.Seed
	}
	if len(request.Settings) > 0 {
		if err := answer.Strict(request.Settings, &config.Settings); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	made, err := a.Virtuous.Organisations.Add(config, a.Clock.Now())
	if err != nil {
		refuseGiving(w, err)
		return
	}
	answer.JSON(w, http.StatusCreated, viewOf(made))
}

func (a *API) listVirtuous(w http.ResponseWriter, _ *http.Request) {
	views := []virtuousView{}
	for _, o := range a.Virtuous.Organisations.All() {
		views = append(views, viewOf(o))
	}
	answer.JSON(w, http.StatusOK, map[string]any{"orgs": views})
}

// refuseGiving answers a request whose change failed.
func refuseGiving(w http.ResponseWriter, err error) {
	status := http.StatusUnprocessableEntity
	switch {
	case errors.Is(err, gifts.ErrUnknown):
		status = http.StatusNotFound
	case errors.Is(err, gifts.ErrTaken):
		status = http.StatusConflict
	}
	refuse(w, status, err.Error())
}

func (a *API) showSettings(w http.ResponseWriter, _ *http.Request, o *gifts.Organisation) {
	answer.JSON(w, http.StatusOK, o.Identity().Settings)
}

// changeSettings changes the settings that the request names.
func (a *API) changeSettings(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	settings := o.Identity().Settings
	if !decode(w, r, &settings) {
		return
	}
	if err := o.Configure(a.Clock.Now(), settings); err != nil {
		refuseGiving(w, err)
		return
	}
	a.showSettings(w, r, o)
}

func (a *API) changeKey(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var request struct {
		Key   string `json:"key"`
		State string `json:"state"` // good, revoked (401) or forbidden (403)
	}
	if !decode(w, r, &request) {
		return
	}
	if err := a.Virtuous.Organisations.SetKey(o, request.Key, request.State); err != nil {
		refuseGiving(w, err)
		return
	}
	answer.JSON(w, http.StatusOK, viewOf(o))
}

func (a *API) showOAuth(w http.ResponseWriter, _ *http.Request, o *gifts.Organisation) {
	answer.JSON(w, http.StatusOK, o.OAuthOf(a.Clock.Now()))
}

func (a *API) changeOAuth(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var request gifts.OAuthChange
	if !decode(w, r, &request) {
		return
	}
	changed, err := o.ChangeOAuth(request, a.Clock.Now())
	if err != nil {
		refuseGiving(w, err)
		return
	}
	answer.JSON(w, http.StatusOK, changed)
}

func (a *API) showQuota(w http.ResponseWriter, _ *http.Request, o *gifts.Organisation) {
	answer.JSON(w, http.StatusOK, a.Virtuous.Quotas.Report(o.Identity().Name, a.Clock.Now()))
}

// changeQuota changes the fields of the quota that the request names, which begins a new window, and spends as other callers.
func (a *API) changeQuota(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	name, now := o.Identity().Name, a.Clock.Now()
	before := a.Virtuous.Quotas.Report(name, now).Quota
	request := struct {
		virtuous.Quota
		Spend *int `json:"spend"` // requests of other callers, now
		Leave *int `json:"leave"` // other callers spend all but so many
	}{Quota: before}
	if !decode(w, r, &request) {
		return
	}
	if request.Quota != before {
		if err := a.Virtuous.Quotas.Set(name, request.Quota); err != nil {
			refuse(w, http.StatusUnprocessableEntity, err.Error())
			return
		}
	}
	if request.Spend != nil {
		a.Virtuous.Quotas.SpendElsewhere(name, now, *request.Spend)
	}
	if request.Leave != nil {
		a.Virtuous.Quotas.Leave(name, now, *request.Leave)
	}
	a.showQuota(w, r, o)
}

// deliver makes one attempt of every delivery that waits, and answers when all are made.
func (a *API) deliver(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	answer.JSON(w, http.StatusOK, a.Virtuous.Sender.Flush(r.Context(), o))
}

// sendBody delivers a body as it is, signed, to all active subscriptions.
func (a *API) sendBody(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var request struct {
		Body string `json:"body"`
	}
	if decode(w, r, &request) {
		answer.JSON(w, http.StatusOK, map[string]int{"accepted": a.Virtuous.Sender.Send(r.Context(), o, []byte(request.Body))})
	}
}
