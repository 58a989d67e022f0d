package destination_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs the test with its own clock that skips every wait, including those of breakers.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// crm is a real HTTP server, reached over pipes instead of sockets so that it can run in a bubble.
type crm struct {
	answer   atomic.Pointer[http.HandlerFunc]
	requests atomic.Int64
	dest     *rest.Destination
}

// newCRM serves until the test ends; by default it answers 200 with an id.
func newCRM(t *testing.T) *crm {
	t.Helper()
	c := &crm{}
	c.answers(http.StatusOK, `{"id":"7"}`)
	listener := &pipes{accept: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client closed the connection
			c.requests.Add(1)
			(*c.answer.Load())(w, r)
		}),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	transport.DialContext = listener.dial
	dest, err := rest.New(rest.Config{URL: "http://crm.example/api", Transport: transport})
	require.NoError(t, err)
	c.dest = dest
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return c
}

func (c *crm) answers(status int, body string) {
	c.does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // in some tests the client closes the connection
	})
}

func (c *crm) does(h http.HandlerFunc) { c.answer.Store(&h) }

// answersInTurn returns one status after the other, and repeats the last one.
func (c *crm) answersInTurn(statuses ...int) {
	var n atomic.Int64
	c.does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(statuses[min(int(n.Add(1)), len(statuses))-1])
	})
}

// once makes single attempts: its Before allows one request per call.
func (c *crm) once(breakers *destination.Breakers) func(context.Context) error {
	return func(ctx context.Context) error {
		var sent bool
		guard := destination.NewGuard(c.dest, destination.GuardConfig{Key: "acme", Breakers: breakers,
			Before: func(context.Context) error {
				if sent {
					return errOnlyOnce
				}
				sent = true
				return nil
			}})
		_, err := guard.Upsert(ctx, record())
		return err
	}
}

var errOnlyOnce = errors.New("only one attempt")

func record() destination.Record {
	return destination.Record{ExternalID: "vomo-1", SourceUpdatedAt: time.Unix(1e9, 0)}
}

// after advances the bubble's clock.
func after(d time.Duration) { <-time.After(d) }

type pipes struct {
	accept chan net.Conn
	done   chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.accept <- far:
		return near, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "pipe"} }
