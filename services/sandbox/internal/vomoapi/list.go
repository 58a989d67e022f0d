package vomoapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/organisation"
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
	Next  json.RawMessage `json:"next,omitempty"` // text or null; left out by a fault alone
}

type meta struct {
	CurrentPage int             `json:"current_page"`
	From        *int            `json:"from"`
	To          *int            `json:"to"`
	Path        string          `json:"path"`
	PerPage     int             `json:"per_page"`
	Total       json.RawMessage `json:"total,omitempty"` // a number, but for faults
}

func (a *API) list(w *traffic.Recorder, r *http.Request, o *organisation.Organisation) {
	query := r.URL.Query()
	filter, kept, errs := filterOf(query)
	if len(errs) > 0 {
		invalid(w, errs)
		return
	}
	// Laravel takes whatever is no page for the first one.
	number, err := strconv.Atoi(query.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	bends := a.Gate.Bends(o.Config().Name)
	// A page behind every organisation's end is empty; cutting it there keeps the product small.
	offset := min(shown(bends, number)-1, organisation.MaxUsers*10) * a.PerPage
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

// filterOf reads the filters of a query, and those that the links keep.
func filterOf(query url.Values) (filter organisation.Filter, kept url.Values, errs map[string][]string) {
	kept, errs = url.Values{}, map[string][]string{}
	given := func(name string) string {
		value := query.Get(name)
		if value != "" { // Laravel takes an empty parameter for none
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

// quoted writes a link as JSON. What a URL escapes leaves nothing for JSON to escape.
func quoted(link string) json.RawMessage { return json.RawMessage(`"` + link + `"`) }

// words is how Laravel calls a field in a text.
func words(field string) string { return strings.ReplaceAll(field, "_", " ") }
