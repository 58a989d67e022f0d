package job_test

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// person is a user at VOMO.
type person struct {
	id      int
	phone   string
	updated time.Time
	created time.Time // zero: founded
}

// founded is when a user joined if a test does not say.
var founded = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// sides is a VOMO with pages of 15, in the order of ids, and a CRM.
type sides struct {
	server *httptest.Server

	mu      sync.Mutex
	people  []person
	token   string
	vomo    func(page int) int  // a status other than 200 for a page
	crm     func(id string) int // the status for a record
	says    string              // what VOMO answers each page with, "": the page
	pause   string              // its Retry-After, "" for none
	onPage  func(page int)      // before a page is answered
	onQuery func(url.Values)    // as onPage
	asked   []string            // VOMO's queries
	written []string            // ids, in the order of the writes
	holds   map[string]string   // phones at the CRM, by id
	revoked int                 // how many requests are refused with 401

	timeForm string // of updated_at; "": as VOMO's
}

func newSides(t *testing.T) *sides {
	t.Helper()
	w := &sides{token: "t0ken", holds: map[string]string{}}
	w.server = httptest.NewServer(w)
	t.Cleanup(w.server.Close)
	return w
}

func (p person) joined() time.Time {
	if p.created.IsZero() {
		return founded
	}
	return p.created
}

// join adds that many users after the last one, all created and changed at these times.
func (w *sides) join(n int, created, updated time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.people = append(w.people, person{id: len(w.people) + 1, phone: "x", updated: updated, created: created})
	}
}

// change gives users a new version, and adds those that do not exist.
func (w *sides) change(at time.Time, phone string, ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		number, _ := strconv.Atoi(id)
		w.people = slices.DeleteFunc(w.people, func(p person) bool { return p.id == number })
		w.people = append(w.people, person{id: number, phone: phone, updated: at})
	}
	slices.SortFunc(w.people, func(a, b person) int { return a.id - b.id })
}

// remove deletes a user.
func (w *sides) remove(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.people = slices.DeleteFunc(w.people, func(p person) bool { return p.id == id })
}

// set changes what the two sides answer.
func (w *sides) set(change func(w *sides)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// saw returns the queries to VOMO and the ids written to the CRM since the last call.
func (w *sides) saw() (asked, written []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, written = w.asked, w.written
	w.asked, w.written = nil, nil
	return asked, written
}

func (w *sides) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		w.put(rw, r)
		return
	}
	if id, one := strings.CutPrefix(r.URL.Path, "/v1/users/"); one {
		w.detail(rw, id)
		return
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	w.mu.Lock()
	onPage, onQuery := w.onPage, w.onQuery
	w.mu.Unlock()
	if onPage != nil {
		onPage(page)
	}
	if onQuery != nil {
		onQuery(r.URL.Query())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, r.URL.RawQuery)
	if w.revoked > 0 || r.Header.Get("Authorization") != "Bearer "+w.token {
		w.revoked = max(w.revoked-1, 0)
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	if w.vomo != nil && w.vomo(page) != 0 {
		rw.WriteHeader(w.vomo(page))
		return
	}
	if w.says != "" {
		_, _ = io.WriteString(rw, w.says)
		return
	}
	w.list(rw, r, page)
}

func (w *sides) list(rw http.ResponseWriter, r *http.Request, page int) {
	matching := []person{}
	bound := func(name string) time.Time {
		at, _ := time.Parse(time.RFC3339, r.URL.Query().Get(name))
		return at
	}
	from, to := bound("created_after"), bound("created_before")
	for _, one := range w.people {
		if !one.updated.Before(bound("updated_after")) && !one.joined().Before(from) && (to.IsZero() || !one.joined().After(to)) {
			matching = append(matching, one)
		}
	}
	data := []map[string]any{}
	for _, one := range matching[min((page-1)*15, len(matching)):min(page*15, len(matching))] {
		data = append(data, one.shown(cmp.Or(w.timeForm, time.RFC3339)))
	}
	_ = json.NewEncoder(rw).Encode(map[string]any{"data": data, "meta": map[string]any{"total": len(matching), "per_page": 15}})
}

func (w *sides) put(rw http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:]
	body, _ := io.ReadAll(r.Body)
	var record struct{ Phone string }
	_ = json.Unmarshal(body, &record)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = append(w.written, id)
	if w.crm != nil && w.crm(id) != 0 {
		if w.pause != "" {
			rw.Header().Set("Retry-After", w.pause)
		}
		rw.WriteHeader(w.crm(id))
		return
	}
	w.holds[id] = record.Phone
	_, _ = io.WriteString(rw, `{"id":"crm-`+id+`"}`)
}

func (p person) shown(form string) map[string]any {
	return map[string]any{
		"id": p.id, "first_name": "First", "last_name": "Last", "email": "u" + strconv.Itoa(p.id) + "@example.org", "phone": p.phone,
		"user_status": nil, "membership_role": nil, "created_at": p.joined().Format(time.RFC3339), "updated_at": p.updated.Format(form),
	}
}

// detail answers for one user.
func (w *sides) detail(rw http.ResponseWriter, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.people {
		if strconv.Itoa(one.id) == id {
			_ = json.NewEncoder(rw).Encode(map[string]any{"data": one.shown(time.RFC3339)})
			return
		}
	}
	rw.WriteHeader(http.StatusNotFound)
}
