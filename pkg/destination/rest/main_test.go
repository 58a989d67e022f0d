package rest_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "s3cret-token"

// serve starts a CRM and returns the destination for it, under the path /very-private.
func serve(t testing.TB, handler http.HandlerFunc) *rest.Destination {
	t.Helper()
	return serveWith(t, handler, rest.Config{}, nil)
}

func serveWith(t testing.TB, handler http.HandlerFunc, cfg rest.Config, tune func(*httptest.Server)) *rest.Destination {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	if tune != nil {
		tune(server)
	}
	server.Start()
	t.Cleanup(server.Close)
	return connect(t, server.URL, cfg)
}

func connect(t testing.TB, url string, cfg rest.Config) *rest.Destination {
	t.Helper()
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	cfg.URL, cfg.Token, cfg.Transport = url+"/very-private/", token, transport
	dest, err := rest.New(cfg)
	require.NoError(t, err)
	return dest
}

// answering returns a handler that reads the request and always sends the same answer.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// rawServer accepts connections one after the other, passes each to its function, and then stops. It can send what
// net/http's server never would.
func rawServer(t *testing.T, conns ...func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, serve := range conns {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}

// readRequest reads a whole request: closing a connection with unread bytes would reset it.
func readRequest(reader *bufio.Reader) {
	req, err := http.ReadRequest(reader)
	if err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
	}
}

func record() destination.Record {
	return destination.Record{
		ExternalID:      "vomo-42",
		Email:           new("Ada@Example.org"),
		FirstName:       new("Ada"),
		Phone:           new("+4915112345678"),
		SourceUpdatedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("CET", 3600)),
		CustomFields: destination.CustomFields{
			MembershipRole: new("member"),
			VomoCreatedAt:  new(time.Date(2020, 1, 1, 1, 0, 0, 0, time.FixedZone("CET", 3600))),
		},
	}
}
