package rest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/fault"
)

func TestRecordIsPutUnderItsID(t *testing.T) {
	t.Parallel()
	dest := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPut || r.URL.Path != "/very-private/users/vomo-42" ||
			r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("Content-Type") != "application/json" ||
			r.Header.Get("User-Agent") != "rollcall" || r.Header.Values("Idempotency-Key") != nil ||
			r.Header.Values("Accept-Encoding") != nil {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"code":"wrong_request"}`)
			return
		}
		want := `{"external_id":"vomo-42","email":"Ada@Example.org","first_name":"Ada","last_name":null,` +
			`"phone":"+4915112345678","custom_fields":{"user_status":null,"membership_role":"member",` +
			`"vomo_created_at":"2020-01-01T00:00:00Z"},"source_updated_at":"2026-03-01T11:00:00Z"}`
		if string(body) != want {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"code":"wrong_body"}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"crm-7"}`)
	})

	result, err := dest.Upsert(t.Context(), record())

	require.NoError(t, err)
	require.Equal(t, destination.Result{ExternalUserID: "crm-7"}, result)
}

func TestIDIsOneSegmentOfPath(t *testing.T) {
	t.Parallel()
	var path atomic.Value
	dest := serve(t, func(_ http.ResponseWriter, r *http.Request) { path.Store(r.RequestURI) })
	for id, want := range map[string]string{
		"vomo-1/../../admin": "/very-private/users/vomo-1%2F..%2F..%2Fadmin",
		"vomo-a?b#c d%2F":    "/very-private/users/vomo-a%3Fb%23c%20d%252F",
		"vomo-é":             "/very-private/users/vomo-%C3%A9",
	} {
		r := record()
		r.ExternalID = id
		_, err := dest.Upsert(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, want, path.Load())
	}
}

func TestInvalidRecordIsRejectedWithoutRequest(t *testing.T) {
	t.Parallel()
	dest := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing may be sent") })
	unencodable := record()
	unencodable.SourceUpdatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	records := map[string]destination.Record{"record_not_encodable": unencodable}
	for code, r := range records {
		_, err := dest.Upsert(t.Context(), r)
		requireRejection(t, err, 0, code)
	}
	for _, id := range []string{"", ".", ".."} {
		r := record()
		r.ExternalID = id
		_, err := dest.Upsert(t.Context(), r)
		requireRejection(t, err, 0, "external_id_unusable")
	}
}

func TestNoTokenSendsNoAuthorization(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Values("Authorization") != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	dest, err := rest.New(rest.Config{URL: server.URL, Transport: transport})
	require.NoError(t, err)

	_, err = dest.Upsert(t.Context(), record())

	require.NoError(t, err)
}

func TestInvalidTokenIsRejectedAndNotQuoted(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"s3cret\n", "s3cret with space", "s3crét"} {
		_, err := rest.New(rest.Config{URL: "https://crm.example.org", Token: bad})
		require.Equal(t, "destination_token_invalid", fault.CodeOf(err))
		require.NotContains(t, err.Error(), "s3cr")
	}
}

func TestProxyOfEnvironmentIsNotUsed(t *testing.T) {
	t.Parallel()
	require.Nil(t, rest.NewTransport(destination.PrivateAccess{All: true}).Proxy)
	require.GreaterOrEqual(t, rest.NewTransport(destination.PrivateAccess{All: true}).MaxIdleConnsPerHost, 64)
}

func TestConnectionsAreReusedAfterAnyAnswer(t *testing.T) {
	t.Parallel()
	var conns, n atomic.Int64
	statuses := []int{200, 422, 503, 429, 409, 401, 302, 204, 404}
	dest := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		status := statuses[int(n.Add(1))%len(statuses)]
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_, _ = fmt.Fprintf(w, `{"id":"1","padding":%q}`, make([]byte, 10_000))
		}
	}, rest.Config{}, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
	})

	// On a busy machine net/http may give up waiting (50 ms) for the end of a request's writing and open another
	// connection. A connection that some answer breaks is opened again in each round.
	fewest := int64(100)
	for range 5 {
		before, asked := conns.Load(), n.Load()
		for range 100 {
			_, _ = dest.Upsert(t.Context(), record()) // most are errors; only the connection matters
		}
		require.EqualValues(t, 100, n.Load()-asked)
		if before > 0 {
			fewest = min(fewest, conns.Load()-before)
		}
	}
	require.Zero(t, fewest, "connections opened in a round, besides that of earlier rounds")
}

func TestIdleConnectionClosedByServerIsNotAFailure(t *testing.T) {
	t.Parallel()
	answer := func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n") }
	url := rawServer(t,
		func(conn net.Conn) {
			reader := bufio.NewReader(conn)
			readRequest(reader)
			answer(conn)
			readRequest(reader) // then the server closes the connection without an answer
		},
		func(conn net.Conn) {
			readRequest(bufio.NewReader(conn))
			answer(conn)
		})
	dest := connect(t, url, rest.Config{})

	for range 2 {
		_, err := dest.Upsert(t.Context(), record())
		require.NoError(t, err)
	}
}

func TestManyGoroutinesMayWriteAtOnce(t *testing.T) {
	t.Parallel()
	dest := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"id":%q}`, "for-"+r.URL.Path[len("/very-private/users/"):])
	})
	errs := make([]error, 64)
	var all sync.WaitGroup
	for n := range errs {
		all.Go(func() {
			r := record()
			r.ExternalID = fmt.Sprintf("vomo-%d", n)
			result, err := dest.Upsert(t.Context(), r)
			if err == nil && result.ExternalUserID != "for-"+r.ExternalID {
				err = errors.New("got another record's answer")
			}
			errs[n] = err
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}

func TestEndOfCallersContextIsReturned(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	dest := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	errStopping := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-arrived
		cancel(errStopping)
	}()

	_, err := dest.Upsert(ctx, record())

	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errStopping)
	require.False(t, destination.Retryable(err))
}

func requireRejection(t *testing.T, err error, status int, code string) {
	t.Helper()
	var rejection *destination.Rejection
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, destination.Rejection{Status: status, Code: code}, *rejection)
}

func BenchmarkUpsert(b *testing.B) {
	dest := serve(b, answering(http.StatusOK, `{"id":"crm-7"}`))
	r := record()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dest.Upsert(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
