package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

// drainView is what a drain's page shows.
type drainView struct {
	Who     access.Principal
	Shown   operatorapi.DrainShown
	Outcome string // of the lines of the ledger; "": any
	Next    string
	AsOf    time.Time
}

// drain is the page of one drain.
func (s *Site) drain(r *http.Request, who access.Principal) (Page, error) {
	query := r.URL.Query()
	question := operatorapi.DrainQuestion{Before: numberIn(r, "before"), Limit: lettersShown}
	if outcome := query.Get("outcome"); outcome == store.DrainItemDone || outcome == store.DrainItemLeft {
		question.Outcome = outcome
	}
	shown, err := s.drainFor(r, who, question)
	if err != nil {
		return Page{}, err
	}
	view := drainView{Who: who, Shown: shown, Outcome: question.Outcome}
	if shown.Next != nil {
		view.Next = drainPath(shown.ID) + "?" + url.Values{"outcome": {question.Outcome}, "before": {plain(*shown.Next)}}.Encode()
	}
	if view.AsOf, err = s.Store.Now(r.Context()); err != nil {
		return Page{}, err
	}
	// It is no page of the customer: what a drain does is not in the customer's stamp, and the page is made again every few seconds.
	return Page{Title: "Drain " + plain(shown.ID), Section: "letters", Fragments: []Fragment{
		{"drain", drainBody(view)}, {"drain-ledger", ledgerBody(view)},
	}}, nil
}

// drainFor returns the drain of a path with a page of its ledger, if the principal may see it: a drain of all customers is no customer's.
func (s *Site) drainFor(r *http.Request, who access.Principal, question operatorapi.DrainQuestion) (operatorapi.DrainShown, error) {
	id, err := strconv.ParseInt(r.PathValue("drain"), 10, 64)
	if err != nil {
		return operatorapi.DrainShown{}, store.ErrNotFound
	}
	question.ID = id
	shown, err := report.ShowDrain(r.Context(), s.Store.Conn, question)
	if err == nil && who.Customer != "" && (shown.CustomerID == nil || !who.Sees(*shown.CustomerID)) {
		err = store.ErrNotFound
	}
	return shown, err
}

// startDrain retries or discards all letters that a filter means, in the background: those that were planned.
func (s *Site) startDrain(verb string) act {
	return func(r *http.Request, who access.Principal) (string, error) {
		r.URL.RawQuery = r.PostForm.Encode()
		filter := letterFilterOf(r, who)
		if !filter.narrows() {
			return "", fmt.Errorf("change all letters: %w", errForbidden)
		}
		start := operatorapi.DrainStart{
			LettersFilter: filter.question(), Verb: verb, Note: r.PostFormValue("note"),
			PacePerMinute: int32(min(max(formNumber(r, "pace"), 0), operatorapi.MaxPace)),
		}
		if asOf, err := time.Parse(time.RFC3339Nano, r.PostFormValue("asOf")); err == nil {
			start.AsOf = &asOf
		}
		started, err := operatorclient.Ask[operatorapi.DrainStart, operatorapi.Drain](r.Context(), s.client(who), "drains", "start", start)
		return saying(drainPath(started.ID), "drain-started"), err
	}
}

// abortDrain ends a drain before its next batch.
func (s *Site) abortDrain(r *http.Request, who access.Principal) (string, error) {
	shown, err := s.drainFor(r, who, operatorapi.DrainQuestion{Limit: 1})
	if err != nil {
		return "", err
	}
	_, err = operatorclient.Ask[operatorapi.DrainCommand, operatorapi.Drain](r.Context(), s.client(who), "drains", "abort",
		operatorapi.DrainCommand{ID: shown.ID, CustomerID: deref(shown.CustomerID)})
	return saying(drainPath(shown.ID), "drain-aborted"), err
}

func drainPath(id int64) string { return "/drains/" + plain(id) }

func drainState(drain operatorapi.Drain) state {
	switch drain.State {
	case operatorapi.DrainRunning:
		return state{"starting", "Running", "◔"}
	case operatorapi.DrainDone:
		return state{"healthy", "Done", "✔"}
	}
	return state{"needs-you", "Aborted", "✖"}
}

// drainSentence says what a drain does, and how far it is.
func drainSentence(drain operatorapi.Drain) string {
	worked := number(drain.Done) + " of " + counted(drain.Planned, "letter", "letters") + " " + pastOf(drain.Verb)
	if drain.State == operatorapi.DrainDone && drain.Remaining > 0 {
		worked += "; " + number(drain.Remaining) + " were settled before their turn"
	}
	return worked
}

func pastOf(verb string) string {
	if verb == operatorapi.VerbDiscard {
		return "discarded"
	}
	return "retried"
}

// drainLeft says when a drain ends: a range, because rates change.
func drainLeft(drain operatorapi.Drain) string {
	if drain.EtaLowSeconds == nil || drain.EtaHighSeconds == nil {
		return "not known yet"
	}
	low, high := inShort(time.Duration(*drain.EtaLowSeconds)*time.Second), inShort(time.Duration(*drain.EtaHighSeconds)*time.Second)
	if low == high {
		return "about " + high
	}
	return low + " to " + high
}

// filterOf returns the filter of a drain as the list of letters has it.
func filterOf(drain operatorapi.Drain) letterFilter {
	filter := drain.Filter
	older := ""
	if filter.OlderThanSeconds > 0 {
		older = plain(filter.OlderThanSeconds / int64(time.Hour/time.Second))
	}
	return letterFilter{
		Customer: filter.CustomerID, State: filter.State, Code: filter.ErrorCode, Kind: filter.Kind, Text: filter.Text, OlderThan: older,
	}
}

// filterWords says which letters a drain means.
func filterWords(filter operatorapi.LettersFilter) string {
	words := ""
	for _, part := range [][2]string{
		{"customer", filter.CustomerID}, {"kind", filter.Kind}, {"state", filter.State}, {"error code", filter.ErrorCode}, {"error class", filter.ErrorClass},
		{"record", filter.RecordID}, {"text", filter.Text}, {"older than", ageWords(filter.OlderThanSeconds)}, {"newer than", ageWords(filter.NewerThanSeconds)},
	} {
		if part[1] == "" {
			continue
		}
		if words != "" {
			words += ", "
		}
		words += part[0] + " " + part[1]
	}
	return words
}

func ageWords(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return inShort(time.Duration(seconds) * time.Second)
}
