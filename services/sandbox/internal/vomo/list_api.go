package vomo

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/traffic"
)

type page struct {
	Data  []User `json:"data"`
	Links links  `json:"links"`
	Meta  meta   `json:"meta"`
}

type links struct {
	First string          `json:"first"`
	Last  string          `json:"last"`
	Prev  *string         `json:"prev"`
	Next  json.RawMessage `json:"next,omitempty"` // text or null; only a fault leaves it out
}

type meta struct {
	CurrentPage int             `json:"current_page"`
	From        *int            `json:"from"`
	To          *int            `json:"to"`
	Path        string          `json:"path"`
	PerPage     int             `json:"per_page"`
	Total       json.RawMessage `json:"total,omitempty"` // a number, unless a fault changes it
}

func (a *API) list(w *traffic.Recorder, r *http.Request, o *Organisation) {
	query := r.URL.Query()
	filter, kept, errs := filterOf(query)
	if len(errs) > 0 {
		invalid(w, errs)
		return
	}
	// Laravel returns the first page for everything that is no page number.
	number, err := strconv.Atoi(query.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	bends := a.Gate.Bends(o.Config().Name)
	// A page after the end of the largest organisation is empty. The limit keeps the product from overflowing.
	offset := min(shown(bends, number)-1, MaxUsers*10) * a.PerPage
	users, total := a.Lives.Read(o, filter, offset, a.PerPage)

	path := "http://" + r.Host + r.URL.Path
	link := func(n int) string {
		kept.Set("page", strconv.Itoa(n))
		return path + "?" + kept.Encode()
	}
	last := max(1, (total+a.PerPage-1)/a.PerPage)
	out := page{
		Data:  make([]User, 0, len(users)),
		Links: links{First: link(1), Last: link(last)},
		Meta:  meta{CurrentPage: number, Path: path, PerPage: a.PerPage, Total: json.RawMessage(strconv.Itoa(total))},
	}
	for _, user := range users {
		out.Data = append(out.Data, Resource(o, user))
	}
	if number > 1 {
		out.Links.Prev = new(link(number - 1))
	}
	out.Links.Next = json.RawMessage("null")
	if number < last {
		out.Links.Next = quoted(link(number + 1))
	}
	bent{path: path, number: number, total: total, isLast: number >= last, linkFunc: link}.apply(bends, &out)
	if len(users) > 0 {
		out.Meta.From, out.Meta.To = new(offset+1), new(offset+len(users))
	}
	if !filter.Active() {
		a.Ledger.Page(o.Config().Name, number)
	}
	answer.JSON(w, http.StatusOK, out)
}

// filterOf reads the filters of a query, and the parameters that the links repeat.
func filterOf(query url.Values) (filter Filter, kept url.Values, errs map[string][]string) {
	kept, errs = url.Values{}, map[string][]string{}
	given := func(name string) string {
		value := query.Get(name)
		if value != "" { // Laravel ignores an empty parameter
			kept.Set(name, value)
		}
		return value
	}
	filter.NameLike, filter.EmailLike = given("name_like"), given("email_like")
	for name, into := range map[string]*time.Time{
		"created_after": &filter.CreatedAfter, "created_before": &filter.CreatedBefore,
		"updated_after": &filter.UpdatedAfter, "updated_before": &filter.UpdatedBefore,
	} {
		value := given(name)
		if value == "" {
			continue
		}
		at, valid := parseTime(value, strings.HasSuffix(name, "_before"))
		if !valid {
			errs[name] = []string{"The " + words(name) + " is not a valid date."}
		}
		*into = at
	}
	return filter, kept, errs
}

// quoted writes a link as JSON. A URL has no character left that JSON must escape.
func quoted(link string) json.RawMessage { return json.RawMessage(`"` + link + `"`) }

// words returns the name of a field as Laravel writes it in a message.
func words(field string) string { return strings.ReplaceAll(field, "_", " ") }

// bent holds the true facts about a list while faults change its page.
type bent struct {
	path     string
	number   int
	total    int
	isLast   bool
	linkFunc func(page int) string
}

// shown returns the number of the page whose users the answer shows; a fault may replace the requested one.
func shown(bends []faults.Rule, number int) int {
	for _, bend := range bends {
		if bend.Kind == faults.SamePage {
			return cmp.Or(bend.Page, 1)
		}
	}
	return number
}

func (b bent) apply(bends []faults.Rule, out *page) {
	for _, bend := range bends {
		switch bend.Kind {
		case faults.NextLink:
			out.Links.Next = b.next(bend, out.Links.Next)
		case faults.Total:
			out.Meta.Total = bend.TotalOf(b.total)
		}
	}
}

// next returns the link of the rule, or the true link if the rule has none for this page.
func (b bent) next(rule faults.Rule, honest json.RawMessage) json.RawMessage {
	query := "?page=" + strconv.Itoa(b.number+1)
	switch rule.Next {
	case faults.NextNullText:
		return quoted("null")
	case faults.NextSelf:
		return quoted(b.linkFunc(b.number))
	case faults.NextOn:
		return quoted(b.linkFunc(b.number + 1))
	case faults.NextNone:
		return json.RawMessage("null")
	case faults.NextMissing:
		return nil
	case faults.NextNumber:
		return json.RawMessage(strconv.Itoa(b.number + 1))
	case faults.NextForeign:
		if !b.isLast {
			return quoted(cmp.Or(rule.To, faults.ForeignHost) + "/v1/users" + query)
		}
	case faults.NextUnfiltered:
		if !b.isLast {
			return quoted(b.path + query)
		}
	}
	return honest
}
