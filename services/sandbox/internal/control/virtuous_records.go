package control

import (
	"net/http"
	"strconv"
	"strings"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/gifts"
)

// maxAdded is how many gifts or contacts one request may add.
const maxAdded = 10_000

func cutPattern(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	return method, path
}

// giftID reads the id of a path. It answers the request if that is no number.
func recordID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		refuse(w, http.StatusNotFound, "no such record")
	}
	return id, err == nil
}

type giftView struct {
	*gifts.Gift

	State string `json:"state"` // live, reversed or deleted
}

func viewOfGift(g *gifts.Gift) giftView { return giftView{Gift: g, State: g.State()} }

// decideTransactions resolves, creates or discards transactions that are no gifts yet: all of the request, or none.
func (a *API) decideTransactions(what string) func(http.ResponseWriter, *http.Request, *gifts.Organisation) {
	return func(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
		var decision gifts.Decision
		if !decode(w, r, &decision) {
			return
		}
		decided, err := o.Decide(a.Clock.Now(), what, decision)
		if err != nil {
			refuseGiving(w, err)
			return
		}
		answer.JSON(w, http.StatusOK, map[string]any{"transactions": viewsOfTransactions(o, decided)})
	}
}

// bundleImports acts as if it were midnight now.
func (a *API) bundleImports(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var request struct {
		Source string `json:"source"` // "": all
	}
	if decode(w, r, &request) {
		answer.JSON(w, http.StatusOK, map[string]any{"imports": o.Bundle(a.Clock.Now(), request.Source)})
	}
}

// runImports runs the imports that wait, or one of them.
func (a *API) runImports(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var request struct {
		ID     int64 `json:"id"`     // 0: all
		Bundle bool  `json:"bundle"` // first act as if it were midnight
	}
	if !decode(w, r, &request) {
		return
	}
	if request.Bundle {
		o.Bundle(a.Clock.Now(), "")
	}
	ran, err := o.RunImports(a.Clock.Now(), request.ID)
	if err != nil {
		refuseGiving(w, err)
		return
	}
	answer.JSON(w, http.StatusOK, map[string]any{"imports": ran})
}

// addGifts enters gifts by hand: one with the fields of the request, or count of them.
func (a *API) addGifts(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var request struct {
		gifts.GiftEdit
		Count int `json:"count"`
	}
	if !decode(w, r, &request) {
		return
	}
	if request.Count < 0 || request.Count > maxAdded {
		refuse(w, http.StatusUnprocessableEntity, "count is 0 to 10000")
		return
	}
	added := []giftView{}
	for range max(1, request.Count) {
		gift, err := o.AddGift(a.Clock.Now(), request.GiftEdit)
		if err != nil {
			refuseGiving(w, err)
			return
		}
		added = append(added, viewOfGift(gift))
	}
	answer.JSON(w, http.StatusCreated, map[string]any{"gifts": added})
}

func (a *API) editGift(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var edit gifts.GiftEdit
	id, ok := recordID(w, r)
	if !ok || !decode(w, r, &edit) {
		return
	}
	answerGift(w, http.StatusOK)(o.EditGift(a.Clock.Now(), id, edit))
}

func (a *API) deleteGift(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	id, ok := recordID(w, r)
	if !ok {
		return
	}
	if err := o.DeleteGift(a.Clock.Now(), id); err != nil {
		refuseGiving(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) restoreGift(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	if id, ok := recordID(w, r); ok {
		answerGift(w, http.StatusOK)(o.RestoreGift(a.Clock.Now(), id))
	}
}

func (a *API) reverseGift(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var request struct {
		Notes string `json:"notes"`
	}
	id, ok := recordID(w, r)
	if !ok || !decode(w, r, &request) {
		return
	}
	answerGift(w, http.StatusCreated)(o.ReverseGift(a.Clock.Now(), id, request.Notes))
}

func answerGift(w http.ResponseWriter, status int) func(*gifts.Gift, error) {
	return func(gift *gifts.Gift, err error) {
		if err != nil {
			refuseGiving(w, err)
			return
		}
		answer.JSON(w, status, viewOfGift(gift))
	}
}

// addContacts adds contacts by hand: one with the fields of the request, or count invented ones.
func (a *API) addContacts(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var request struct {
		gifts.Person
		Source string `json:"source"` // of referenceId
		Count  int    `json:"count"`
	}
	if !decode(w, r, &request) {
		return
	}
	if request.Count < 0 || request.Count > maxAdded {
		refuse(w, http.StatusUnprocessableEntity, "count is 0 to 10000")
		return
	}
	added := []*gifts.Contact{}
	for range max(1, request.Count) {
		added = append(added, o.AddContact(a.Clock.Now(), request.Source, request.Person))
	}
	answer.JSON(w, http.StatusCreated, map[string]any{"contacts": added})
}

func (a *API) editContact(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var edit gifts.ContactEdit
	id, ok := recordID(w, r)
	if !ok || !decode(w, r, &edit) {
		return
	}
	edited, err := o.EditContact(a.Clock.Now(), id, edit)
	if err != nil {
		refuseGiving(w, err)
		return
	}
	answer.JSON(w, http.StatusOK, edited)
}

func (a *API) mergeContacts(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	var merge gifts.Merge
	if !decode(w, r, &merge) {
		return
	}
	if err := o.MergeContacts(a.Clock.Now(), merge); err != nil {
		refuseGiving(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) putProject(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	request := struct {
		Name   string `json:"name"`
		Active bool   `json:"active"`
	}{Active: true}
	if decode(w, r, &request) {
		answer.JSON(w, http.StatusOK, o.PutProject(a.Clock.Now(), r.PathValue("code"), request.Name, request.Active))
	}
}
