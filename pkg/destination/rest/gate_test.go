package rest_test

import (
	"bufio"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
)

var errLeaseEnded = errors.New("the lease has ended")

// asleep allows this many writes and none after them, as if the process had been suspended at that moment.
func asleep(dest destination.Destination, after int64) (guard *destination.Guard, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	return destination.NewGuard(dest, destination.GuardConfig{Key: "acme", Leave: func() error {
		if asked.Add(1) > after {
			return errLeaseEnded
		}
		return nil
	}}), asked
}

func TestWorkerSuspendedBetweenCheckAndRequestSendsNothing(t *testing.T) {
	t.Parallel()
	for name, tune := range map[string]func(*httptest.Server){
		"plain":  func(s *httptest.Server) { s.Start() },
		"TLS":    func(s *httptest.Server) { s.StartTLS() },
		"HTTP/2": func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				answering(http.StatusOK, `{"id":"7"}`)(w, r)
			}))
			tune(server)
			t.Cleanup(server.Close)
			transport := rest.NewTransport(destination.PrivateAccess{All: true})
			t.Cleanup(transport.CloseIdleConnections)
			if server.Certificate() != nil {
				transport.TLSClientConfig.RootCAs = x509.NewCertPool()
				transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
			}
			dest, err := rest.New(rest.Config{URL: server.URL, Transport: transport})
			require.NoError(t, err)

			for range 2 { // first over a new connection, then over a reused one
				guard, asked := asleep(dest, 0)
				_, err = guard.Upsert(t.Context(), record())
				require.ErrorIs(t, err, destination.ErrHeld)
				require.ErrorIs(t, err, errLeaseEnded)
				require.False(t, destination.Retryable(err))
				require.EqualValues(t, 1, asked.Load(), "a held request must not be retried")
				require.Zero(t, requests.Load())

				guard, _ = asleep(dest, 1_000)
				_, err = guard.Upsert(t.Context(), record())
				require.NoError(t, err)
				require.EqualValues(t, 1, requests.Swap(0))
			}
		})
	}
}

func TestWorkerSuspendedDuringRequestDoesNotFinishIt(t *testing.T) {
	t.Parallel()
	broken := make(chan error, 1)
	url := rawServer(t, func(conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err == nil {
			_, err = io.Copy(io.Discard, request.Body)
		}
		broken <- err
	})
	large := record()
	large.LastName = new(long(64 << 10)) // large enough for more than one write
	guard, _ := asleep(connect(t, url, rest.Config{}), 1)

	_, err := guard.Upsert(t.Context(), large)

	require.ErrorIs(t, err, errLeaseEnded)
	require.ErrorIs(t, <-broken, io.ErrUnexpectedEOF)
}

func TestHeldRequestIsNotAFailureOfTheDestination(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	dest := connect(t, down.URL, rest.Config{})
	breakers := destination.NewBreakers(destination.BreakersConfig{Failures: 1})
	server := serve(t, answering(http.StatusOK, `{}`))
	guard := destination.NewGuard(server, destination.GuardConfig{Key: "acme", Breakers: breakers, Leave: func() error { return errLeaseEnded }})
	_, err := guard.Upsert(t.Context(), record())
	require.ErrorIs(t, err, errLeaseEnded)
	require.Zero(t, breakers.Trips("acme"))
	_, err = destination.NewGuard(dest, destination.GuardConfig{Key: "acme", Breakers: breakers}).Upsert(t.Context(), record())
	require.ErrorIs(t, err, destination.ErrOpen, "an unreachable destination must count")
}

func TestPrivateAddressIsNotConnected(t *testing.T) {
	t.Parallel()
	var conns atomic.Int64
	server := httptest.NewUnstartedServer(answering(http.StatusOK, `{}`))
	server.Config.ConnState = func(net.Conn, http.ConnState) { conns.Add(1) }
	server.Start()
	t.Cleanup(server.Close)
	dest, err := rest.New(rest.Config{URL: server.URL, Token: token})
	require.NoError(t, err)

	_, err = dest.Upsert(t.Context(), record())

	require.ErrorIs(t, err, destination.ErrNotPublic)
	requireDiscreet(t, err)
	require.Zero(t, conns.Load())
}
