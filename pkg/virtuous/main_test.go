package virtuous

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"go.uber.org/goleak"

	"rollcall.dev/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// payload returns a file of testdata, such as "recorded/gift.json".
func payload(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	require.NoError(t, err)
	return body
}

// payloadAt returns the part of a payload at a path of gjson.
func payloadAt(t testing.TB, name, path string) []byte {
	t.Helper()
	value := gjson.GetBytes(payload(t, name), path)
	require.True(t, value.Exists(), path)
	return []byte(value.Raw)
}

const testKey = "key-that-must-not-show"

var testNow = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// fixture is a client of a server whose answers the test decides.
type fixture struct {
	*Client

	mu       sync.Mutex
	requests []request
	naps     []time.Duration
	answers  []Answer
	uses     []Use
}

// request is what the server got.
type request struct {
	method, path, query, body string // the path as it was sent
}

// newFixture starts a server and a client that does not really sleep.
func newFixture(t *testing.T, handler http.HandlerFunc, changes ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the request was not read", http.StatusTeapot)
			return
		}
		f.mu.Lock()
		f.requests = append(f.requests, request{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body)})
		f.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	f.Client = f.clientOf(t, server.URL, changes...)
	return f
}

func (f *fixture) clientOf(t *testing.T, base string, changes ...func(*Config)) *Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := Config{
		BaseURL: base, Key: testKey, Transport: transport, Now: func() time.Time { return testNow },
		Sleep: func(ctx context.Context, d time.Duration) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.naps = append(f.naps, d)
			return context.Cause(ctx)
		},
		Before: func(_ context.Context, use Use) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.uses = append(f.uses, use)
			return nil
		},
		Answered: func(_ context.Context, answer Answer) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.answers = append(f.answers, answer)
		},
	}
	for _, change := range changes {
		change(&cfg)
	}
	client, err := New(cfg)
	require.NoError(t, err)
	return client
}

// got returns the requests so far.
func (f *fixture) got() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// answering returns a handler that always gives this answer.
func answering(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		writeWhole(w, body)
	}
}

// madeAnswer is one of made/errors.json.
type madeAnswer struct {
	Case    string            `json:"case"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func madeAnswers(t testing.TB) []madeAnswer {
	t.Helper()
	var answers []madeAnswer
	require.NoError(t, json.Unmarshal(payload(t, "made/errors.json"), &answers))
	require.Greater(t, len(answers), 10)
	return answers
}

func (m madeAnswer) serve(w http.ResponseWriter, _ *http.Request) {
	for name, value := range m.Headers {
		if name != "Content-Length" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(m.Status)
	writeWhole(w, m.Body)
}

// writeWhole writes a body. If it cannot, it breaks the answer off, so that the client does not take it for a whole one.
func writeWhole(w io.Writer, body string) {
	_, err := io.WriteString(w, body)
	if err != nil && !errors.Is(err, http.ErrBodyNotAllowed) { // such as of 304
		panic(http.ErrAbortHandler)
	}
}

// requireDiscreet checks that no form of an error has the key, or a text of a person or of an answer.
func requireDiscreet(t *testing.T, err error, texts ...string) {
	t.Helper()
	require.Error(t, err)
	printed := fmt.Sprintf("%v %+v %#v %s", err, err, err, fault.CodeOf(err))
	for _, text := range append(texts, testKey, "Ana", "Ruiz", "example.org", "127.0.0.1", "<html") {
		require.NotContains(t, printed, text)
	}
}
