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

// crm is a destination on the loopback interface. It accepts every record unless a test changes its answers, and it keeps
// the requests that it got.
type crm struct {
	server *httptest.Server

	mu           sync.Mutex
	answer       func(id string, r *http.Request) (status int, body string)
	requested    []string                      // ids in the order of the requests, including rejected ones
	records      map[string]destination.Record // accepted records by id
	bodies       map[string]map[string]any     // the same, with the fields that were sent
	rejectsStale bool                          // reject an earlier source_updated_at than the stored one
	active       int
	maxActive    int

	retryAfter string // Retry-After of each answer, "" for none

	batches     [][]string                       // ids of each batch
	batchAnswer func(ids []string) (int, string) // answers a whole batch; nil: answer is used for each record
}

func newCRM(t testing.TB) *crm {
	t.Helper()
	c := &crm{records: map[string]destination.Record{}, bodies: map[string]map[string]any{}, answer: accept}
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
	c.requested = append(c.requested, id)
	c.active++
	c.maxActive = max(c.maxActive, c.active)
	answer := c.answer
	if c.rejectsStale && record.SourceUpdatedAt.Before(c.records[id].SourceUpdatedAt) {
		answer = func(string, *http.Request) (int, string) { return http.StatusConflict, `{"code":"stale"}` }
	}
	c.mu.Unlock()

	status, text := answer(id, r)

	c.mu.Lock()
	c.active--
	if status == http.StatusOK || status == http.StatusCreated {
		c.records[id], c.bodies[id] = record, nil
		sent := map[string]any{}
		if json.Unmarshal(body, &sent) == nil {
			c.bodies[id] = sent
		}
	}
	c.mu.Unlock()
	c.writeRetryAfter(w)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // some tests close the client's connection
}

// setAnswer changes the CRM's answers from now on.
func (c *crm) setAnswer(answer func(id string, r *http.Request) (int, string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// respond answers with status and body to these ids, or to all if none is given, and accepts the other ids.
func (c *crm) respond(status int, body string, ids ...string) {
	c.setAnswer(func(id string, r *http.Request) (int, string) {
		if len(ids) == 0 {
			return status, body
		}
		if slices.Contains(ids, id) {
			return status, body
		}
		return accept(id, r)
	})
}

func (c *crm) setRetryAfter(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retryAfter = value
}

func (c *crm) writeRetryAfter(w http.ResponseWriter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retryAfter != "" {
		w.Header().Set("Retry-After", c.retryAfter)
	}
}

func (c *crm) acceptAll() { c.setAnswer(accept) }

func accept(id string, _ *http.Request) (int, string) {
	return http.StatusOK, `{"id":"crm-` + id + `"}`
}

// requests returns the ids of all requests so far.
func (c *crm) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.requested...)
}

func (c *crm) forgetRequests() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requested = nil
}

// body returns the fields of the record that was accepted last.
func (c *crm) body(id string) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bodies[id]
}

func (c *crm) record(id string) destination.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records[id]
}
