package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// The full size, by hand: go test ./services/console -run Hostile -hostile-requests 10000.
var hostileRequests = flag.Int("hostile-requests", 2000, "hostile requests to the console")

// canary is what a customer has and no hostile request may show.
const canary = "Canary-Ruiz"

// attacked is a console that asks for credentials. No other service runs: each question is answered with "not found".
type attacked struct {
	t    *testing.T
	url  string
	logs *observer.ObservedLogs
}

func newAttacked(t *testing.T) *attacked {
	t.Helper()
	server := testkit.NATS(t)
	js := server.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, 30*time.Second))
	_, err := js.Conn().Subscribe("rollcall.api.>", func(question *nats.Msg) {
		answer := nats.NewMsg(question.Reply)
		answer.Header.Set(micro.ErrorHeader, "not found")
		answer.Header.Set(micro.ErrorCodeHeader, service.CodeNotFound)
		if err := question.RespondMsg(answer); err != nil {
			t.Error(err)
		}
	})
	require.NoError(t, err)
	database := testkit.Database(t)
	opened, err := store.Open(t.Context(), database, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `INSERT INTO sync_configs (customer_id, external_system_url, destination, enabled, onboarded_at, updated_at)
		VALUES ('acme', 'https://crm.example/`+canary+`', '{"kind":"rest"}', true, now(), now())`)
	require.NoError(t, err)
	settings, err := config.Load([]string{"DATABASE_URL=" + database, "HTTP_ADDR=0.0.0.0:8080"}) // not loopback: nothing is answered without credentials
	require.NoError(t, err)
	core, logs := observer.New(zapcore.WarnLevel)
	handler, err := newConsole(&service.Service{Config: settings, Store: opened, Conn: js.Conn(), JetStream: js, Logger: zap.New(core)})
	require.NoError(t, err)
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	return &attacked{t: t, url: web.URL, logs: logs}
}

func TestHostileRequestsGetNothingAndBreakNothing(t *testing.T) {
	t.Parallel()
	f := newAttacked(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 20 * time.Second}
	for i := range *hostileRequests {
		status, body := f.send(client, random)
		require.Less(t, status, 500, "request %d of seed %d: %s", i, seed, body)
		require.NotContains(t, body, canary, "request %d of seed %d", i, seed)
		require.NotContains(t, body, `href="/customers/acme"`, "request %d of seed %d", i, seed)
		require.NotContains(t, body, "<script>alert", "request %d of seed %d", i, seed)
	}
	for _, line := range f.logs.All() {
		require.NotContains(t, fmt.Sprint(line.Message, line.ContextMap()), canary)
		require.NotContains(t, line.Message, "panic")
	}
}

// send sends one request that an attacker would, and returns what came back.
func (f *attacked) send(client *http.Client, random *rand.Rand) (status int, answer string) {
	f.t.Helper()
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	evil := pick("../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "' OR 1=1--", "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>",
		"javascript:alert(1)", strings.Repeat("A", 1+random.IntN(20000)), "${jndi:ldap://x}", "acme\r\nSet-Cookie: a=b", "\xff\xfe", "acme", "_unknown",
		"0", "-1", "9223372036854775808")
	path := pick("/customers/", "/letters/", "/held/acme/", "/review/acme/", "/l/", "/assets/x/", "/api/v1/customers/", "/api/v1/letters/", "/live?at=",
		"/search?q=", "/sign-in?next=",
		"/letters?code=", "/customers?q=", "/record?customer=acme&kind=user&id=", "/audit?verb=", "/drains/", "/api/v1/drains/",
		"/api/v1/openapi.json?") + url.PathEscape(evil)
	if random.IntN(8) == 0 {
		return f.raw("GET " + pick("/../../etc/passwd", "//evil.example/", "/assets/../console.go", "/assets/x/..%2f..%2fmain.go",
			"/%2e%2e/%2e%2e/etc/passwd") + " HTTP/1.1\r\nHost: " +
			pick("console.example", "evil.example", "localhost:1") + "\r\nX-Name: " + pick("a", "<b>", strings.Repeat("h", random.IntN(20000))) +
			"\r\nConnection: close\r\n\r\n")
	}
	method := pick(http.MethodGet, http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch)
	if method == http.MethodPost {
		path = pick("/customers/acme/pause", "/customers/acme/token", "/letters/retry", "/letters/chosen/discard", "/letters/0c3f2a11/discard",
			"/drains/1/abort", "/held/acme/user/approve", "/review/acme/1", "/search", "/sign-in", "/sign-out",
			"/api/v1/customers/acme/pause", "/api/v1/customers/acme/donations", "/api/v1/letters/retry")
	}
	form := url.Values{"q": {evil}, "token": {evil}, "next": {evil}, "note": {evil}, "confirm": {"acme"}, "customer": {evil}, "decision": {evil},
		"id": {evil}, "pace": {evil}}.Encode()
	if random.IntN(10) == 0 {
		form = strings.Repeat("x", 1<<20+random.IntN(1<<20))
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(form))
	require.NoError(f.t, err)
	request.Header.Set("Content-Type", pick("application/x-www-form-urlencoded", "application/json", "text/xml", "multipart/form-data; boundary=x", ""))
	if random.IntN(2) == 0 {
		request.Header.Set("Cookie", pick("session="+strings.Repeat("z", 43), "session=", "=", "session="+url.QueryEscape(evil), "a=b; a=c; session=x"))
	}
	if random.IntN(2) == 0 {
		request.Header.Set("Authorization", pick("Bearer rct_"+strings.Repeat("a", 43), "Bearer ", "Basic YWRtaW46YWRtaW4=",
			"Bearer "+url.QueryEscape(evil), "bearer null"))
	}
	if random.IntN(2) == 0 {
		request.Header.Set("Origin", pick("https://evil.example", "null", f.url))
		request.Header.Set("Sec-Fetch-Site", pick("cross-site", "same-origin", "none", "nonsense"))
	}
	request.Header.Set("X-Forwarded-For", pick("127.0.0.1", evil[:min(len(evil), 10)]))
	response, err := client.Do(request)
	if err != nil { // the client itself refuses some headers, and the server closes the connection of others
		return 0, ""
	}
	defer func() { require.NoError(f.t, response.Body.Close()) }()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return response.StatusCode, "" // without credentials there is none
	}
	body, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	require.NotEmpty(f.t, response.Header.Get("Content-Security-Policy"), path)
	location, err := response.Location()
	if err == nil {
		require.Equal(f.t, response.Request.URL.Host, location.Host, "nothing leads to another site")
	}
	return response.StatusCode, string(body)
}

// raw sends bytes that no client would.
func (f *attacked) raw(request string) (status int, answer string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(f.url, "http://"))
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, conn.Close()) }()
	_, err = conn.Write([]byte(request))
	require.NoError(f.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "" // the server has closed the connection
	}
	defer func() { require.NoError(f.t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		require.NoError(f.t, err)
	}
	return response.StatusCode, string(body)
}
