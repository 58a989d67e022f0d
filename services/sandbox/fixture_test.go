package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testClock moves only when a test moves it, and notes the requested waits.
type testClock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

func (c *testClock) Wait(_ context.Context, delay time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited = append(c.waited, delay)
	return nil
}

func (c *testClock) Waited() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waited
}

// fixture is a running sandbox and a client of it.
type fixture struct {
	t      *testing.T
	url    string
	clock  *testClock
	client *http.Client
}

// newFixture starts a sandbox as the flags say, over real HTTP.
func newFixture(t *testing.T, args ...string) *fixture {
	t.Helper()
	opts, err := parseOptions(args, func(string) (string, bool) { return "", false }, io.Discard)
	require.NoError(t, err)
	clock := &testClock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	made, err := newSandbox(opts, realTime{nowFunc: clock.Now, waitFunc: clock.Wait}, zap.NewNop())
	require.NoError(t, err)
	server := httptest.NewServer(made.handler)
	t.Cleanup(server.Close)
	// A client without kept connections does not repeat a dropped request by itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return &fixture{t: t, url: server.URL, clock: clock, client: client}
}

// reply is a complete answer.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *fixture) try(method, path, body, token string) (reply, error) {
	s.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = s.url + path
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, target, strings.NewReader(body))
	require.NoError(s.t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	read, err := io.ReadAll(response.Body)
	require.NoError(s.t, response.Body.Close())
	return reply{status: response.StatusCode, header: response.Header, body: string(read)}, err
}

func replyOf(t *testing.T, response *http.Response) reply {
	t.Helper()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{status: response.StatusCode, header: response.Header, body: string(read)}
}

func (s *fixture) do(method, path, body, token string) reply {
	s.t.Helper()
	got, err := s.try(method, path, body, token)
	require.NoError(s.t, err)
	return got
}

// vomo asks VOMO as the organisation acme, with its usual token.
func (s *fixture) vomo(method, path, body string) reply {
	s.t.Helper()
	return s.do(method, "/vomo/v1"+path, body, "sandbox-acme-token")
}

// control asks the control API, expects a status and decodes the answer.
func (s *fixture) control(method, path, body string, status int) map[string]any {
	s.t.Helper()
	got := s.do(method, "/control"+path, body, "")
	require.Equal(s.t, status, got.status, got.body)
	if got.body == "" {
		return nil
	}
	return got.json(s.t)
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var decoded map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.body), &decoded), r.body)
	return decoded
}

// user is what the tests read of a user.
type user struct {
	ID             any     `json:"id"`
	FirstName      string  `json:"first_name"`
	LastName       string  `json:"last_name"`
	FullName       string  `json:"full_name"`
	Email          *string `json:"email"`
	Phone          *string `json:"phone"`
	UserStatus     *string `json:"user_status"`
	MembershipRole string  `json:"membership_role"`
	CreatedAt      string  `json:"created_at"`
	UpdatedAt      string  `json:"updated_at"`
}

type userPage struct {
	Data  []user `json:"data"`
	Links struct {
		First, Last string
		Prev, Next  *string
	} `json:"links"`
	Meta struct {
		CurrentPage int    `json:"current_page"`
		From        *int   `json:"from"`
		To          *int   `json:"to"`
		Path        string `json:"path"`
		PerPage     int    `json:"per_page"`
		Total       int    `json:"total"`
	} `json:"meta"`
}

// page reads a page of acme's users.
func (s *fixture) page(query string) userPage {
	s.t.Helper()
	got := s.vomo(http.MethodGet, "/users"+query, "")
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	var decoded userPage
	require.NoError(s.t, json.Unmarshal([]byte(got.body), &decoded))
	return decoded
}

// dump reads lines of JSON.
func dump[T any](s *fixture, path string) []T {
	s.t.Helper()
	got := s.do(http.MethodGet, "/control"+path, "", "")
	require.Equal(s.t, http.StatusOK, got.status)
	all := []T{}
	for line := range strings.Lines(got.body) {
		var one T
		require.NoError(s.t, json.Unmarshal([]byte(line), &one))
		all = append(all, one)
	}
	return all
}
