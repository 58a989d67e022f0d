package vomo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testToken = "token-that-must-not-show"

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// serve starts an HTTP server and a client that does not really sleep: naps records its sleeps.
func serve(t *testing.T, handler http.HandlerFunc, changes ...func(*Config)) (*Client, *naps) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return clientOf(t, server.URL+"/v1", changes...)
}

func clientOf(t *testing.T, base string, changes ...func(*Config)) (*Client, *naps) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	n := &naps{}
	cfg := Config{
		BaseURL: base, Token: testToken, Transport: transport,
		Now: func() time.Time { return testNow }, Sleep: n.sleep,
	}
	for _, change := range changes {
		change(&cfg)
	}
	client, err := New(cfg)
	require.NoError(t, err)
	return client, n
}

type naps struct {
	mu   sync.Mutex
	list []time.Duration
}

func (n *naps) sleep(ctx context.Context, d time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, d)
	return context.Cause(ctx)
}

func (n *naps) all() []time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

func pageOf(r *http.Request) int {
	number, _ := strconv.Atoi(r.URL.Query().Get("page")) // 0, which no test requests, if it is missing
	return number
}

// wire returns the JSON of a page of an organisation with total users, 15 per page.
func wire(number, total int) map[string]any {
	entries := []any{}
	for id := (number-1)*15 + 1; id <= min(number*15, total); id++ {
		entries = append(entries, entry(id))
	}
	var next any
	if number*15 < total {
		next = fmt.Sprintf("https://elsewhere.example/users?page=%d", number+1)
	}
	return map[string]any{
		"data":  entries,
		"links": map[string]any{"next": next},
		"meta":  map[string]any{"current_page": number, "per_page": 15, "total": total},
	}
}

func entry(id any) map[string]any {
	return map[string]any{"type": "user", "id": id, "email": "A.Mixed@Case.example", "updated_at": "2026-02-19T10:15:00+00:00"}
}

func write(w http.ResponseWriter, page any) {
	_ = json.NewEncoder(w).Encode(page) // in some tests the client closes the connection
}

// organisation serves total users, and records which pages were requested.
type organisation struct {
	total int
	mu    sync.Mutex
	asked []int
	first func(w http.ResponseWriter, r *http.Request) bool // returns true if it has answered
}

func (o *organisation) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked = append(o.asked, pageOf(r))
	o.mu.Unlock()
	if o.first == nil || !o.first(w, r) {
		write(w, wire(pageOf(r), o.total))
	}
}

func (o *organisation) pages() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}

func upTo(n int) []int {
	var numbers []int
	for i := 1; i <= n; i++ {
		numbers = append(numbers, i)
	}
	return numbers
}
