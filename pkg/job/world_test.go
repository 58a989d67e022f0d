package job_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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
}

// world is a VOMO with pages of 15, in the order of ids, and a CRM.
type world struct {
	server *httptest.Server

	mu      sync.Mutex
	people  []person
	token   string
	vomo    func(page int) int  // a status other than 200 for a page
	crm     func(id string) int // the status for a record
	onPage  func(page int)      // before a page is answered
	asked   []string            // VOMO's queries
	written []string            // ids, in the order of the writes
	holds   map[string]string   // phones at the CRM, by id
	revoked int                 // how many requests are refused with 401
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{token: "t0ken", holds: map[string]string{}}
	w.server = httptest.NewServer(w)
	t.Cleanup(w.server.Close)
	return w
}

// change gives users a new version, those of them who are not there yet join.
func (w *world) change(at time.Time, phone string, ids ...string) {
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
func (w *world) remove(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.people = slices.DeleteFunc(w.people, func(p person) bool { return p.id == id })
}

// set changes what the two sides say.
func (w *world) set(change func(w *world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// saw is what VOMO was asked, and whom the CRM was sent, since it was last asked for.
func (w *world) saw() (asked, written []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, written = w.asked, w.written
	w.asked, w.written = nil, nil
	return asked, written
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		w.put(rw, r)
		return
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	w.mu.Lock()
	onPage := w.onPage
	w.mu.Unlock()
	if onPage != nil {
		onPage(page)
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
	w.list(rw, r, page)
}

func (w *world) list(rw http.ResponseWriter, r *http.Request, page int) {
	matching := []person{}
	after, _ := time.Parse(time.RFC3339, r.URL.Query().Get("updated_after"))
	for _, one := range w.people {
		if !one.updated.Before(after) {
			matching = append(matching, one)
		}
	}
	data := []map[string]any{}
	for _, one := range matching[min((page-1)*15, len(matching)):min(page*15, len(matching))] {
		data = append(data, map[string]any{
			"id": one.id, "first_name": "First", "last_name": "Last", "email": "u" + strconv.Itoa(one.id) + "@example.org", "phone": one.phone,
			"user_status": nil, "membership_role": nil, "created_at": "2025-01-01T00:00:00Z", "updated_at": one.updated.Format(time.RFC3339),
		})
	}
	_ = json.NewEncoder(rw).Encode(map[string]any{"data": data, "meta": map[string]any{"total": len(matching), "per_page": 15}})
}

func (w *world) put(rw http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:]
	body, _ := io.ReadAll(r.Body)
	var record struct{ Phone string }
	_ = json.Unmarshal(body, &record)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = append(w.written, id)
	if w.crm != nil && w.crm(id) != 0 {
		rw.WriteHeader(w.crm(id))
		return
	}
	w.holds[id] = record.Phone
	_, _ = io.WriteString(rw, `{"id":"crm-`+id+`"}`)
}
