package mirror_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/pkg/destination"
)

// crm is a destination on the loopback. It takes every record unless a test says otherwise, and remembers what
// it saw.
type crm struct {
	server *httptest.Server

	mu     sync.Mutex
	answer func(id string, r *http.Request) (status int, body string)
	asked  []string                      // ids in the order of the requests, refused ones too
	holds  map[string]destination.Record // what it took, by id
	stale  bool                          // an earlier source_updated_at than the one it has is refused
	active int
	atMost int

	pause string // Retry-After of each answer, "" for none

	batches     [][]string                       // ids of each batch
	batchAnswer func(ids []string) (int, string) // nil: each record as answer says
}

func newCRM(t testing.TB) *crm {
	t.Helper()
	c := &crm{holds: map[string]destination.Record{}, answer: takes}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/users:batchUpsert" {
		c.serveBatch(w, r)
		return
	}
	id := strings.TrimPrefix(r.URL.Path, "/users/vomo-")
	body, err := io.ReadAll(r.Body)
	var record destination.Record
	if err != nil || r.Method != http.MethodPut || json.Unmarshal(body, &record) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	c.mu.Lock()
	c.asked = append(c.asked, id)
	c.active++
	c.atMost = max(c.atMost, c.active)
	answer := c.answer
	if c.stale && record.SourceUpdatedAt.Before(c.holds[id].SourceUpdatedAt) {
		answer = func(string, *http.Request) (int, string) { return http.StatusConflict, `{"code":"stale"}` }
	}
	c.mu.Unlock()

	status, text := answer(id, r)

	c.mu.Lock()
	c.active--
	if status == http.StatusOK || status == http.StatusCreated {
		c.holds[id] = record
	}
	c.mu.Unlock()
	c.writePause(w)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may have gone: some tests make it
}

// answers changes what the CRM says from now on.
func (c *crm) answers(answer func(id string, r *http.Request) (int, string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// says answers with status and body to these ids, to all where none is named, and takes the others.
func (c *crm) says(status int, body string, ids ...string) {
	c.answers(func(id string, r *http.Request) (int, string) {
		if len(ids) == 0 {
			return status, body
		}
		if slices.Contains(ids, id) {
			return status, body
		}
		return takes(id, r)
	})
}

func (c *crm) retryAfter(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pause = value
}

func (c *crm) writePause(w http.ResponseWriter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pause != "" {
		w.Header().Set("Retry-After", c.pause)
	}
}

func (c *crm) works() { c.answers(takes) }

func takes(id string, _ *http.Request) (int, string) { return http.StatusOK, `{"id":"crm-` + id + `"}` }

// saw are the ids of all requests so far.
func (c *crm) saw() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.asked...)
}

func (c *crm) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = nil
}

func (c *crm) record(id string) destination.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holds[id]
}
