package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

// receiver accepts webhooks.
type receiver struct {
	*httptest.Server
	t     *testing.T
	posts *testkit.Signal[post]

	mu      sync.Mutex
	answers []func(http.ResponseWriter, *http.Request) // for the next posts, one each
	types   []string                                   // alert types of all posts so far
}

type post struct {
	header http.Header
	raw    []byte
	at     time.Time
	body   struct {
		Type      string         `json:"type"`
		Timestamp time.Time      `json:"timestamp"`
		Text      string         `json:"text"`
		Data      map[string]any `json:"data"`
	}
}

func newReceiver(t *testing.T, answers ...func(http.ResponseWriter, *http.Request)) *receiver {
	t.Helper()
	r := &receiver{t: t, posts: testkit.NewSignal[post](), answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(r.accept))
	t.Cleanup(r.Close)
	return r
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(code) }
}

func (r *receiver) accept(answer http.ResponseWriter, request *http.Request) {
	got := post{header: request.Header, at: time.Now()}
	var err error
	if got.raw, err = io.ReadAll(request.Body); err != nil {
		r.t.Errorf("read post: %v", err)
	}
	if err := json.Unmarshal(got.raw, &got.body); err != nil {
		r.t.Errorf("a post that is not JSON: %v", err)
	}
	r.mu.Lock()
	kind, _ := got.body.Data["type"].(string)
	r.types = append(r.types, kind)
	say := status(http.StatusNoContent)
	if len(r.answers) > 0 {
		say, r.answers = r.answers[0], r.answers[1:]
	}
	r.mu.Unlock()
	say(answer, request)
	r.posts.Send(got)
}

func (r *receiver) next() post { return r.posts.Wait(r.t, timeout) }

// countPosts returns how many posts of an alert type have arrived.
func (r *receiver) countPosts(kind string) (count int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.types {
		if one == kind {
			count++
		}
	}
	return count
}

func (r *receiver) requireNoMore() { r.posts.RequireNone(r.t) }

// requireSameMessage requires that two posts are the same message.
func requireSameMessage(t *testing.T, first, second post) {
	t.Helper()
	require.Equal(t, first.header.Get("Webhook-Id"), second.header.Get("Webhook-Id"))
	require.Equal(t, string(first.raw), string(second.raw))
}
