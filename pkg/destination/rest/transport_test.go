package rest_test

import (
	"bufio"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/fault"
)

func TestSilentDestinationTimesOut(t *testing.T) {
	t.Parallel()
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	stuck := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"id":`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for _, handler := range []http.HandlerFunc{silent, stuck} {
		_, err := serveWith(t, handler, rest.Config{Timeout: 50 * time.Millisecond}, nil).Upsert(t.Context(), record())
		require.True(t, destination.Retryable(err))
		require.Equal(t, "destination_timeout", fault.CodeOf(err))
	}
}

func TestBrokenAndMissingAnswers(t *testing.T) {
	t.Parallel()
	saying := func(answer string) func(net.Conn) {
		return func(conn net.Conn) {
			readRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
		}
	}
	for answer, code := range map[string]string{
		"": "destination_unreachable",
		"hello Ada@Example.org " + token + "\r\n\r\n":                      "destination_broken_answer",
		"HTTP/1.1 2x0 Ada@Example.org\r\n\r\n":                             "destination_broken_answer",
		"HTTP/1.1 200 OK\r\nAda@Example.org\r\n\r\n":                       "destination_broken_answer",
		"HTTP/1.1 200 OK\r\nX: " + long(65<<10) + "\r\n\r\n":               "destination_broken_answer",
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"id\":":            "destination_broken_answer",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nAda\r\n":     "destination_broken_answer",
		"HTTP/1.1 409 Conflict\r\nContent-Length: 99\r\n\r\n{\"code\":":    "destination_broken_answer",
		"HTTP/1.1 503 Ada@Example.org\r\nContent-Length: 99\r\n\r\nshort":  "destination_5xx",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\nx": "destination_broken_answer",
	} {
		_, err := connect(t, rawServer(t, saying(answer)), rest.Config{}).Upsert(t.Context(), record())
		require.True(t, destination.Retryable(err), answer)
		require.Equal(t, code, fault.CodeOf(err), answer)
		requireDiscreet(t, err)
	}

	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	_, err := connect(t, closed.URL, rest.Config{}).Upsert(t.Context(), record())
	require.Equal(t, "destination_unreachable", fault.CodeOf(err))
	require.ErrorContains(t, err, "connection refused")
	requireDiscreet(t, err)
}

func TestErrorForUnreachableDestinationDoesNotQuoteURL(t *testing.T) {
	t.Parallel()
	private := "http://crm.very-private/users/vomo-42"
	for text, cause := range map[string]error{
		"host name was not found":  &net.DNSError{Err: "no such host", Name: "crm.very-private"},
		"no connection":            &net.OpError{Op: "dial", Err: &net.AddrError{Err: "bad", Addr: "very-private"}},
		"is not readable HTTP":     fmt.Errorf("malformed %q", "Ada"),
		"closed the connection":    io.EOF,
		"did not answer in time":   &net.DNSError{Err: "timeout", Name: "crm.very-private", IsTimeout: true},
		"the destination's answer": &url.Error{Op: "Put", URL: private, Err: io.ErrUnexpectedEOF},
	} {
		failing := roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Put", URL: private, Err: cause}
		})
		dest, err := rest.New(rest.Config{URL: "http://crm.example.org/very-private", Transport: failing})
		require.NoError(t, err)

		_, err = dest.Upsert(t.Context(), record())

		require.ErrorContains(t, err, text)
		require.True(t, destination.Retryable(err))
		requireDiscreet(t, err)
	}
}

func TestNoAnswerIsOnlyForMissingAnswers(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	reset := rawServer(t, func(conn net.Conn) {
		readRequest(bufio.NewReader(conn))
		_ = conn.(*net.TCPConn).SetLinger(0)
	})
	hangs := serveWith(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, rest.Config{Timeout: 50 * time.Millisecond}, nil)
	for name, dest := range map[string]*rest.Destination{
		"refused": connect(t, down.URL, rest.Config{}), "reset": connect(t, reset, rest.Config{}), "hangs": hangs,
		"no such name": connect(t, "http://nowhere.invalid", rest.Config{Timeout: 10 * time.Second}),
	} {
		_, err := dest.Upsert(t.Context(), record())
		require.True(t, destination.IsNoAnswer(err), "%s: %v", name, err)
		require.True(t, destination.Retryable(err), name)
	}
	for _, status := range []int{200, 302, 401, 403, 404, 408, 422, 423, 429, 500, 503, 504} {
		_, err := serve(t, answering(status, `{"errors":["no"]}`)).Upsert(t.Context(), record())
		require.False(t, destination.IsNoAnswer(err), status)
	}
}

func TestHTTP2AndItsCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"id":%q}`, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	dest, err := rest.New(rest.Config{URL: server.URL, Transport: transport})
	require.NoError(t, err)

	_, err = dest.Upsert(t.Context(), record())
	require.Equal(t, "destination_unreachable", fault.CodeOf(err))
	require.ErrorContains(t, err, "certificate is not trusted")
	requireDiscreet(t, err)

	trusting := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(trusting.CloseIdleConnections)
	trusting.TLSClientConfig.RootCAs = x509.NewCertPool()
	trusting.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	dest, err = rest.New(rest.Config{URL: server.URL, Transport: trusting})
	require.NoError(t, err)
	for range 2 {
		result, err := dest.Upsert(t.Context(), record())
		require.NoError(t, err)
		require.Equal(t, "HTTP/2.0", result.ExternalUserID)
	}
}

func TestErrorsDoNotQuoteRecordTokenOrURL(t *testing.T) {
	t.Parallel()
	quoting := `{"code":"email Ada@Example.org is taken","error":{"code":"Ada","message":"+4915112345678"},` +
		`"token":"` + token + `"}`
	var status atomic.Int64
	dest := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.String()+"?"+token)
		answering(int(status.Load()), quoting)(w, r)
	})
	for n := range 400 {
		status.Store(int64(200 + n))
		if _, err := dest.Upsert(t.Context(), record()); err != nil {
			requireDiscreet(t, err)
		}
	}
}

func requireDiscreet(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		for _, private := range []string{"Ada", "4915112345678", "s3cret", "very-private", "vomo-42", "http://", "127.0.0.1"} {
			require.NotContains(t, text, private)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var errLeaseEnded = errors.New("the lease has ended")

// asleep allows this many writes and none after them, as if the process had been suspended at that moment.
func asleep(dest destination.Destination, after int64) (guard *destination.Guard, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	return destination.NewGuard(dest, destination.GuardConfig{Key: "acme", SendCheck: func() error {
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
	guard := destination.NewGuard(server, destination.GuardConfig{Key: "acme", Breakers: breakers, SendCheck: func() error { return errLeaseEnded }})
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
