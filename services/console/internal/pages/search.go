package pages

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
	"rollcall.dev/services/console/internal/access"
)

// customersFound is how many customers a search shows whose id has the text.
const customersFound = 20

// searchView is what a search shows if it does not lead to one page.
type searchView struct {
	Who    access.Principal
	Asked  bool
	Denied bool // a search by email address needs a right
	report.Hits
}

// searchForm is the page before a search. What is searched for is never in an address: it may be a person's email address.
func (s *Site) searchForm(_ *http.Request, who access.Principal) (Page, error) {
	return searchPage(searchView{Who: who}), nil
}

func searchPage(view searchView) Page {
	return Page{Title: "Search", Still: true, Fragments: []Fragment{{"search-results", searchBody(view)}}}
}

// search leads to what a text means if that is one thing, and otherwise lists what it may mean.
func (s *Site) search(w http.ResponseWriter, r *http.Request) {
	who := access.From(r.Context())
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		http.Error(w, "the form is too long", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	case !who.May(access.Read):
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	view, err := s.find(r.Context(), who, strings.TrimSpace(r.PostFormValue("q")))
	if err != nil {
		status, page := s.problem(r, err)
		s.write(w, r, who, status, page)
		return
	}
	if len(view.Hits.Hits) == 1 && !view.IsMore {
		http.Redirect(w, r, hitPath(view.Hits.Hits[0]), http.StatusSeeOther)
		return
	}
	s.write(w, r, who, http.StatusOK, searchPage(view))
}

// find searches for a text, within what the principal may see.
func (s *Site) find(ctx context.Context, who access.Principal, text string) (searchView, error) {
	view := searchView{Who: who, Asked: text != ""}
	switch {
	case text == "":
		return view, nil
	case report.IsEmail(text) && !who.May(access.Donors):
		view.Denied = true
		return view, nil
	case report.IsEmail(text):
		var err error
		view.Hits, err = s.findEmail(ctx, who, text)
		return view, err
	}
	customers, err := s.findCustomers(ctx, who, text)
	if err != nil {
		return view, err
	}
	view.Hits, err = report.Search(ctx, s.Store.Conn, who.Customer, text)
	view.IsMore = view.IsMore || len(customers) > customersFound
	view.Hits.Hits = append(customers[:min(len(customers), customersFound)], view.Hits.Hits...)
	return view, err
}

// findEmail notes in the audit that an address was searched for, and not which one.
func (s *Site) findEmail(ctx context.Context, who access.Principal, email string) (report.Hits, error) {
	found, err := report.SearchEmail(ctx, s.Store.Conn, who.Customer, email)
	if err != nil {
		return found, err
	}
	result, err := json.Marshal(map[string]int{"users": len(found.Hits)})
	if err != nil {
		return found, err
	}
	_, err = s.Store.NoteAct(ctx, store.Act{
		Operator: who.ID, Via: store.ViaAPI, Verb: "users.search", Customer: who.Customer, Filter: json.RawMessage(`{"kind":"email"}`),
		Outcome: store.ActDone, Result: result,
	})
	return found, err
}

// findCustomers returns the customer with this id, or those whose id has the text.
func (s *Site) findCustomers(ctx context.Context, who access.Principal, text string) (hits []report.Hit, err error) {
	id := strings.ToLower(text)
	if who.Customer != "" {
		if id == who.Customer {
			hits = append(hits, report.Hit{Kind: report.HitCustomer, Customer: id, ID: id})
		}
		return hits, nil
	}
	if rollcallv1.ValidCustomerID(id) {
		_, err = s.Store.Customer(ctx, id)
		if err == nil {
			return []report.Hit{{Kind: report.HitCustomer, Customer: id, ID: id}}, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	lines, _, err := s.board.Lines(ctx, s.Store)
	for _, line := range lines {
		if strings.Contains(line.CustomerID, id) {
			hits = append(hits, report.Hit{Kind: report.HitCustomer, Customer: line.CustomerID, ID: line.CustomerID})
		}
	}
	slices.SortFunc(hits, func(one, other report.Hit) int { return cmp.Compare(one.Customer, other.Customer) })
	return hits, err
}

func hitPath(hit report.Hit) string {
	switch hit.Kind {
	case report.HitCustomer:
		return customerPath(hit.Customer)
	case report.HitLetter:
		return letterPath(hit.ID)
	}
	return recordPath(hit.Customer, hit.Kind, hit.ID)
}

func hitWord(hit report.Hit) string {
	switch hit.Kind {
	case operatorapi.TraceUser:
		return "User of VOMO"
	case operatorapi.TraceGift:
		return "Gift or donation"
	}
	return spacedTitle(hit.Kind)
}
