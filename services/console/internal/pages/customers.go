package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall.dev/pkg/report"
	"rollcall.dev/services/console/internal/access"
)

// customersShown is how many rows one page of customers has.
const customersShown = 100

// customerList is what the list shows.
type customerList struct {
	Rows     []report.BoardLine
	Users    map[string]int64 // mirrored users of the rows
	AsOf     time.Time
	Query    customerQuery
	Counts   counts
	Total    int    // rows that match
	Next     string // the address of the next rows
	IsFolded bool   // healthy rows are one line
}

// customerQuery is the list's filter, as the address has it.
type customerQuery struct{ State, Text, Sort, After string }

func customerQueryOf(values url.Values) customerQuery {
	return customerQuery{State: values.Get("state"), Text: strings.TrimSpace(values.Get("q")), Sort: values.Get("sort"), After: values.Get("after")}
}

// path returns the address of the list with another value of one name.
func (q customerQuery) path(name, value string) string {
	values := url.Values{}
	for key, text := range map[string]string{"state": q.State, "q": q.Text, "sort": q.Sort} {
		if key == name {
			text = value
		}
		if text != "" {
			values.Set(key, text)
		}
	}
	if name == "after" {
		values.Set("after", value)
	}
	if len(values) == 0 {
		return "/customers"
	}
	return "/customers?" + values.Encode()
}

// customers is the list of all customers.
func (s *Site) customers(r *http.Request, who access.Principal) (Page, error) {
	if who.Customer != "" {
		r.SetPathValue("customer", who.Customer)
		return s.customer(r, who)
	}
	lines, asOf, err := s.board.Lines(r.Context(), s.Store)
	if err != nil {
		return Page{}, err
	}
	list := customerList{AsOf: asOf, Query: customerQueryOf(r.URL.Query()), Counts: countsOf(lines, asOf)}
	list.choose(lines)
	ids := make([]string, 0, len(list.Rows))
	for _, row := range list.Rows {
		ids = append(ids, row.CustomerID)
	}
	if list.Users, err = s.Store.UserCounts(r.Context(), ids); err != nil {
		return Page{}, err
	}
	return Page{Title: "Customers", Section: "customers", Fragments: []Fragment{{"customer-list", customersBody(list)}}}, nil
}

// choose fills in the rows that the query selects. Without a query, healthy and offboarded customers are one line.
func (l *customerList) choose(lines []report.BoardLine) {
	l.IsFolded = l.Query.State == "" && l.Query.Text == "" && l.Counts.Healthy > 0
	rows := make([]report.BoardLine, 0, customersShown)
	for _, line := range lines {
		code := lineState(line).Code
		switch {
		case l.Query.State != "" && l.Query.State != "all" && code != l.Query.State:
			continue
		case l.Query.State == "" && l.Query.Text == "" && (code == healthy().Code || code == offboarded().Code):
			continue
		case !strings.Contains(line.CustomerID, strings.ToLower(l.Query.Text)):
			continue
		}
		rows = append(rows, line)
	}
	switch l.Query.Sort {
	case "id":
		slices.SortStableFunc(rows, func(one, other report.BoardLine) int { return strings.Compare(one.CustomerID, other.CustomerID) })
	case "letters":
		slices.SortStableFunc(rows, func(one, other report.BoardLine) int { return int(other.OpenLetters - one.OpenLetters) })
	}
	l.Total = len(rows)
	if at := slices.IndexFunc(rows, func(row report.BoardLine) bool { return row.CustomerID == l.Query.After }); l.Query.After != "" && at >= 0 {
		rows = rows[at+1:]
	}
	if len(rows) > customersShown {
		rows = rows[:customersShown]
		l.Next = l.Query.path("after", rows[customersShown-1].CustomerID)
	}
	l.Rows = rows
}

// worst returns the first reason that is a problem, or the first one.
func worst(reasons []report.Reason) *report.Reason {
	if len(reasons) == 0 {
		return nil
	}
	at := max(slices.IndexFunc(reasons, func(r report.Reason) bool { return r.Unhealthy }), 0)
	return &reasons[at]
}

// needWords says how many customers need their reader.
func needWords(c counts) string {
	verb := "need you"
	if c.NeedYou == 1 {
		verb = "needs you"
	}
	return number(c.NeedYou) + " of " + counted(c.Customers, "customer", "customers") + " " + verb
}

// customerFilters returns the states by which the list can be filtered, with their numbers.
func customerFilters(list customerList) []state {
	filters := []state{{Code: "", Word: "what needs a look"}, {Code: "all", Word: "all"}}
	for _, one := range []struct {
		state state
		count int64
	}{
		{needsYou(), list.Counts.NeedYou}, {paused(), list.Counts.Paused}, {starting(), list.Counts.Starting},
		{healthy(), list.Counts.Healthy}, {offboarded(), list.Counts.Offboarded},
	} {
		filters = append(filters, state{Code: one.state.Code, Word: strings.ToLower(one.state.Word) + " (" + number(one.count) + ")"})
	}
	return filters
}
