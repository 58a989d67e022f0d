package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

const lettersShown = 50

// letterList is what the list of letters shows.
type letterList struct {
	Who     access.Principal
	Reply   operatorapi.LettersReply
	Filter  letterFilter
	Next    string
	Errors  map[string][]string
	Planned *lettersPlan // of a bulk act that was asked for
	Drains  []operatorapi.Drain
}

// mayChoose reports whether letters of the list can be ticked: those that are settled stay as they are.
func (l letterList) mayChoose() bool {
	return l.Who.May(access.Letters) && l.Filter.State != "settled" && l.Filter.State != "all"
}

// letterFilter is the list's filter, as the address has it.
type letterFilter struct{ Customer, State, Code, Kind, Text, OlderThan string }

func letterFilterOf(r *http.Request, who access.Principal) letterFilter {
	values := r.URL.Query()
	return letterFilter{
		Customer: chosen(r, who), State: values.Get("state"), Code: values.Get("code"), Kind: values.Get("kind"),
		Text: strings.TrimSpace(values.Get("q")), OlderThan: values.Get("older"),
	}
}

func (f letterFilter) values() url.Values {
	values := url.Values{}
	for key, text := range map[string]string{
		"customer": f.Customer, "state": f.State, "code": f.Code, "kind": f.Kind, "q": f.Text, "older": f.OlderThan,
	} {
		if text != "" {
			values.Set(key, text)
		}
	}
	return values
}

// path returns the address of the list with this filter and one more value.
func (f letterFilter) path(name, value string) string {
	values := f.values()
	if name != "" {
		values.Set(name, value)
	}
	return "/letters?" + values.Encode()
}

// question returns the filter in the form of the operator API.
func (f letterFilter) question() operatorapi.LettersFilter {
	filter := operatorapi.LettersFilter{CustomerID: f.Customer, State: f.State, ErrorCode: f.Code, Kind: f.Kind, Text: f.Text}
	if hours, err := strconv.ParseInt(f.OlderThan, 10, 64); err == nil && hours > 0 {
		filter.OlderThanSeconds = hours * int64(time.Hour/time.Second)
	}
	return filter
}

// narrows reports whether the filter means less than all letters.
func (f letterFilter) narrows() bool {
	filter := f.question()
	return filter.Narrows() || f.Customer != ""
}

// letters is the list of letters.
func (s *Site) letters(r *http.Request, who access.Principal) (Page, error) {
	list := letterList{Who: who, Filter: letterFilterOf(r, who)}
	question := operatorapi.LettersQuestion{LettersFilter: list.Filter.question(), Limit: lettersShown, Codes: true, Before: r.URL.Query().Get("before")}
	page := Page{Title: "Letters", Section: "letters"}
	if asOf, err := time.Parse(time.RFC3339Nano, r.URL.Query().Get("asOf")); err == nil {
		question.AsOf = &asOf
	}
	if list.Errors = question.Validate(); len(list.Errors) > 0 {
		page.Fragments = []Fragment{{"letter-list", lettersBody(list)}}
		return page, nil
	}
	var err error
	if list.Reply, err = report.Letters(r.Context(), s.Store, question); err != nil {
		return page, err
	}
	if list.Reply.Next != nil {
		filter := list.Filter.values()
		filter.Set("before", *list.Reply.Next)
		filter.Set("asOf", list.Reply.AsOf.Format(time.RFC3339Nano))
		list.Next = "/letters?" + filter.Encode()
	}
	drains, err := report.Drains(r.Context(), s.Store.Conn, operatorapi.DrainsQuestion{CustomerID: list.Filter.Customer, Limit: inShortList})
	if err != nil {
		return page, err
	}
	list.Drains = drains.Drains
	if verb := r.URL.Query().Get("plan"); (verb == operatorapi.VerbRetry || verb == operatorapi.VerbDiscard) && who.May(access.Letters) {
		list.Planned, page.Still = s.planLetters(r.Context(), list.Filter, verb), true // what is planned does not move under the hand
	}
	page.Fragments = []Fragment{{"letter-list", lettersBody(list)}, {"drain-list", drainsTable(list.Drains, list.Reply.AsOf)}}
	return page, nil
}

// lettersPlan says what a bulk act would do.
type lettersPlan struct {
	Verb    string
	Reply   operatorapi.LettersPlanned
	Problem string
}

// planLetters says what a bulk act would do. An empty filter is refused: it would mean all letters of all customers.
func (s *Site) planLetters(ctx context.Context, filter letterFilter, verb string) *lettersPlan {
	planned := &lettersPlan{Verb: verb}
	if !filter.narrows() {
		planned.Problem = "Choose a filter first: without one, this would mean all letters of all customers."
		return planned
	}
	command := operatorapi.LettersCommand{LettersFilter: filter.question(), AllMatching: true, Verb: verb}
	reply, err := report.PlanLetters(ctx, s.Store, command)
	if err != nil {
		_, words := explainError(err)
		planned.Problem = words.Title + ". " + words.Text
	}
	planned.Reply = reply
	return planned
}

// letterView is what a letter's page shows.
type letterView struct {
	Who    access.Principal
	Letter operatorapi.LetterShown
	Answer part[*destination.Answer] // of the destination; only if it was asked for
	AsOf   time.Time
}

// letter is the page of one letter. What the destination answered may quote a person, so it is shown only on demand, and that is audited.
func (s *Site) letter(r *http.Request, who access.Principal) (Page, error) {
	shown, err := s.letterFor(r, who)
	if err != nil {
		return Page{}, err
	}
	now, err := s.Store.Now(r.Context())
	if err != nil {
		return Page{}, err
	}
	view := letterView{Who: who, Letter: shown, AsOf: now}
	asksAnswer := r.URL.Query().Has("answer") && who.May(access.Donors)
	if asksAnswer {
		view.Answer = askPart(r.Context(), s, who, "letters", "show", operatorapi.LetterQuestion{ID: shown.ID},
			func(reply operatorapi.LetterShown) *destination.Answer { return reply.DestinationAnswer })
		if view.Answer.Content == nil && view.Answer.Problem == "" {
			view.Answer.Problem = "It said nothing, or what it said cannot be opened any more."
		}
	}
	return Page{
		Title: "Letter " + shown.ID[:min(8, len(shown.ID))], Section: "letters", Customer: shown.CustomerID, Still: asksAnswer,
		Fragments: []Fragment{{"letter", letterBody(view)}},
	}, nil
}

// letterFor returns the letter of a path, if the principal may see its customer.
func (s *Site) letterFor(r *http.Request, who access.Principal) (operatorapi.LetterShown, error) {
	shown, err := report.ShowLetter(r.Context(), s.Store.Conn, operatorapi.LetterQuestion{ID: r.PathValue("letter")})
	if err == nil && !who.Sees(shown.CustomerID) {
		err = store.ErrNotFound
	}
	return shown, err
}

func letterPath(id string) string { return "/letters/" + url.PathEscape(id) }

// letterState returns the state of a letter.
func letterState(letter operatorapi.Letter) state {
	switch letter.State {
	case "waiting":
		return state{"starting", "Waiting", "◔"}
	case "settled":
		return state{"healthy", "Settled", "✔"}
	}
	return state{"needs-you", "Review", "✖"}
}

func recordOf(letter operatorapi.Letter) string {
	if letter.RecordID == nil {
		return "message"
	}
	return letter.Kind + " " + *letter.RecordID
}

// firstFew returns the samples that a plan shows.
func firstFew(letters []operatorapi.Letter) []operatorapi.Letter {
	return letters[:min(len(letters), inShortList)]
}

func answerText(answer destination.Answer) string {
	return fmt.Sprintf("HTTP %d\n%s", answer.Status, answer.Text)
}
