package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fixture is a console that runs, and a client of its NATS and HTTP sides.
type fixture struct {
	t       *testing.T
	url     string // of the database
	client  *operatorclient.Client
	http    *http.Client
	address string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := testkit.NATS(t)
	require.NoError(t, bus.Ensure(t.Context(), server.JetStream(t), 1, 30*time.Second))
	port, err := localserver.FreePort()
	require.NoError(t, err)
	f := &fixture{t: t, url: testkit.Database(t), address: "127.0.0.1:" + strconv.Itoa(port)}
	settings, err := config.Load([]string{
		"DATABASE_URL=" + f.url, "NATS_URL=" + server.URL, "SECRETS_URL=dev:" + t.TempDir() + "/secrets.key", "HTTP_ADDR=" + f.address,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- service.Serve(ctx, "console", settings, zaptest.NewLogger(t), func(ctx context.Context, s *service.Service) error {
			if err := serve(s); err != nil {
				return err
			}
			s.Ready()
			close(ready)
			<-ctx.Done()
			return nil
		})
	}()
	f.client = &operatorclient.Client{Conn: server.Conn(t), Timeout: 10 * time.Second, Operator: "ana"}
	f.http = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		f.http.CloseIdleConnections()
		cancel()
		require.NoError(t, <-ended)
	})
	select {
	case <-ready:
	case err := <-ended:
		require.NoError(t, err)
		require.Fail(t, "the console did not start")
	}
	return f
}

// ask sends a request, and returns the answer with its body.
func (f *fixture) ask(method, path string, form url.Values, cookies ...*http.Cookie) (*http.Response, string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), method, "http://"+f.address+path, strings.NewReader(form.Encode()))
	require.NoError(f.t, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, cookie := range cookies {
		request.AddCookie(cookie)
	}
	response, err := f.http.Do(request)
	require.NoError(f.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	require.NoError(f.t, response.Body.Close())
	return response, string(body)
}

func TestHealthAndMetricsNeedNoSignIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/metrics"} {
		response, _ := f.ask(http.MethodGet, path, nil) //nolint:bodyclose // ask closes it
		require.Equal(t, http.StatusOK, response.StatusCode, path)
	}
}

func TestTokenOfTheCommandSignsInAndLeavesNoSecretInTheAudit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	added, err := operatorclient.Ask[operatorapi.TokenAddition, operatorapi.TokenAdded](t.Context(), f.client, "tokens", "add",
		operatorapi.TokenAddition{Name: "robot", Role: "operator"})
	require.NoError(t, err)
	response, body := f.ask(http.MethodPost, "/sign-in", url.Values{"token": {added.Secret}}) //nolint:bodyclose // ask closes it
	require.Equal(t, http.StatusSeeOther, response.StatusCode, body)
	require.Len(t, response.Cookies(), 1)
	response, _ = f.ask(http.MethodPost, "/sign-out", url.Values{}, response.Cookies()...) //nolint:bodyclose // ask closes it
	require.Equal(t, http.StatusSeeOther, response.StatusCode)

	_, err = operatorclient.Ask[operatorapi.TokenAddition, operatorapi.TokenAdded](t.Context(), f.client, "tokens", "add",
		operatorapi.TokenAddition{Name: "robot", Role: "operator"})
	require.ErrorContains(t, err, `there is a token "robot" already`)
	_, err = operatorclient.Ask[operatorapi.LinkAddition, operatorapi.LinkAdded](t.Context(), f.client, "links", "add",
		operatorapi.LinkAddition{CustomerID: "initech"})
	require.True(t, operatorclient.IsUnknown(err), "%v", err)
	_, err = operatorclient.Ask[operatorapi.TokenRevocation, operatorapi.GrantEnded](t.Context(), f.client, "tokens", "revoke",
		operatorapi.TokenRevocation{Name: "robot"})
	require.NoError(t, err)

	conn, err := pgx.Connect(t.Context(), f.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	var acts, verbs string
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT jsonb_agg(o)::text, string_agg(verb || ' ' || operator || ' ' || outcome,
		',' ORDER BY id) FROM operator_audit o`).
		Scan(&acts, &verbs))
	require.Equal(t, "tokens.add ana done,tokens.add ana rejected,links.add ana rejected,tokens.revoke ana done", verbs)
	require.NotContains(t, acts, added.Secret)
	require.NotContains(t, acts, "rct_")
}
