package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

// heldList is the list of searches for deleted records.
type heldList struct {
	Who   access.Principal
	Runs  []operatorapi.DeletionRun
	Next  string
	AsOf  time.Time
	OfOne string // the customer by which it is filtered
}

// held lists the searches for deleted records: those that wait for a decision come first.
func (s *Site) held(r *http.Request, who access.Principal) (Page, error) {
	question := operatorapi.DeletionsQuestion{CustomerID: chosen(r, who), Before: numberIn(r, "before"), Limit: lettersShown}
	reply, err := operatorclient.Ask[operatorapi.DeletionsQuestion, operatorapi.DeletionsReply](r.Context(), s.client(who), "deletions", "ls", question)
	if err != nil {
		return Page{}, err
	}
	list := heldList{Who: who, Runs: reply.Deletions, OfOne: question.CustomerID}
	slices.SortStableFunc(list.Runs, func(one, other operatorapi.DeletionRun) int { return rankOfRun(one) - rankOfRun(other) })
	if reply.Next != nil {
		list.Next = "/held?" + url.Values{"customer": {question.CustomerID}, "before": {strconv.FormatInt(*reply.Next, 10)}}.Encode()
	}
	list.AsOf, err = s.Store.Now(r.Context())
	return Page{Title: "Held deletions", Section: "held", Fragments: []Fragment{{"held-list", heldBody(list)}}}, err
}

func rankOfRun(run operatorapi.DeletionRun) int {
	if run.State == "held" {
		return 0
	}
	return 1
}

// heldView is one search with what it found.
type heldView struct {
	Who   access.Principal
	Shown operatorapi.DeletionShown
	AsOf  time.Time
	Next  string
}

// heldRun is the page of one search. Addresses stay sealed: a person decides by the ids and the counts.
func (s *Site) heldRun(r *http.Request, who access.Principal) (Page, error) {
	customer, err := onlyFor(r, who)
	if err != nil {
		return Page{}, err
	}
	question := operatorapi.DeletionQuestion{
		CustomerID: customer, Entity: r.PathValue("entity"), RunID: numberIn(r, "run"), After: r.URL.Query().Get("after"), WithoutEmail: true,
	}
	view := heldView{Who: who}
	if view.Shown, err = operatorclient.Ask[operatorapi.DeletionQuestion, operatorapi.DeletionShown](r.Context(), s.client(who), "deletions", "show",
		question); err != nil {
		return Page{}, err
	}
	if view.Shown.Next != nil {
		view.Next = heldPath(view.Shown.DeletionRun) + "?" + url.Values{
			"run": {strconv.FormatInt(view.Shown.ID, 10)}, "after": {*view.Shown.Next},
		}.Encode()
	}
	view.AsOf, err = s.Store.Now(r.Context())
	return Page{
		Title: "Deletions of " + customer, Section: "held", Customer: customer, Fragments: []Fragment{{"held", heldRunBody(view)}},
	}, err
}

// reviewList is the list of items that wait for a decision.
type reviewList struct {
	Who   access.Principal
	App   virtuousApp
	Items []operatorapi.ReviewItem
	AsOf  time.Time
	Next  string
}

func (s *Site) review(r *http.Request, who access.Principal) (Page, error) {
	question := operatorapi.ReviewsQuestion{CustomerID: chosen(r, who), After: numberIn(r, "after"), Limit: lettersShown}
	reply, err := operatorclient.Ask[operatorapi.ReviewsQuestion, operatorapi.ReviewsReply](r.Context(), s.client(who), "review", "ls", question)
	if err != nil {
		return Page{}, err
	}
	list := reviewList{Who: who, App: virtuousApp(s.Settings.VirtuousAppURL), Items: reply.Items}
	if reply.Next != nil {
		list.Next = "/review?" + url.Values{"customer": {question.CustomerID}, "after": {strconv.FormatInt(*reply.Next, 10)}}.Encode()
	}
	list.AsOf, err = s.Store.Now(r.Context())
	return Page{Title: "Review", Section: "review", Fragments: []Fragment{{"review-list", reviewBody(list)}}}, err
}

// reviewView is one item. Its details are a person's data, so they need a right, and looking at them is audited.
type reviewView struct {
	Who   access.Principal
	App   virtuousApp
	Shown operatorapi.ReviewShown
}

func (s *Site) reviewItem(r *http.Request, who access.Principal) (Page, error) {
	customer, err := onlyFor(r, who)
	if err != nil {
		return Page{}, err
	}
	if !who.May(access.Review) && !who.May(access.Donors) {
		return Page{}, errForbidden
	}
	id, err := strconv.ParseInt(r.PathValue("item"), 10, 64)
	if err != nil {
		return Page{}, store.ErrNotFound
	}
	view := reviewView{Who: who, App: virtuousApp(s.Settings.VirtuousAppURL)}
	view.Shown, err = operatorclient.Ask[operatorapi.ReviewQuestion, operatorapi.ReviewShown](r.Context(), s.client(who), "review", "show",
		operatorapi.ReviewQuestion{CustomerID: customer, ItemID: id})
	return Page{Title: "Decide", Section: "review", Customer: customer, Still: true, Fragments: []Fragment{{"review-item", reviewItemBody(view)}}}, err
}

// numberIn returns a number of the query, 0 if there is none.
func numberIn(r *http.Request, name string) int64 {
	n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// runState returns the state of a search for deleted records.
func runState(run operatorapi.DeletionRun) state {
	switch run.State {
	case "held":
		return state{"needs-you", "Held", "✖"}
	case "done":
		return state{"healthy", "Done", "✔"}
	case "rejected", "expired":
		return state{"offboarded", spacedTitle(run.State), "○"}
	case "failed", "unverified":
		return state{"starting", spacedTitle(run.State), "◔"}
	}
	return state{"starting", spacedTitle(run.State), "◔"}
}

// runSentence says what a search is about.
func runSentence(run operatorapi.DeletionRun) string {
	if run.Text != nil {
		return *run.Text
	}
	return "Search for deleted " + run.Entity + "s of " + run.CustomerID + "."
}

func entityFlag(entity string) string {
	if entity == operatorapi.EntityGift {
		return " --entity gift"
	}
	return ""
}

func candidateID(one operatorapi.DeletionCandidate) string {
	if one.VirtuousGiftID != nil {
		return strconv.FormatInt(*one.VirtuousGiftID, 10)
	}
	return one.VomoID
}

func candidatePath(customer string, one operatorapi.DeletionCandidate) string {
	if one.VirtuousGiftID != nil {
		return recordPath(customer, operatorapi.TraceGift, candidateID(one))
	}
	return recordPath(customer, operatorapi.TraceUser, candidateID(one))
}

func reviewState(item operatorapi.ReviewItem) state {
	if item.State == "open" {
		return state{"needs-you", "Open", "✖"}
	}
	return state{"healthy", spacedTitle(item.State), "✔"}
}
