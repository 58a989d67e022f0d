package access

import (
	"bytes"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// outside is an address from which no request may read without credentials.
const outside = "203.0.113.7:4711"

// fixture is a guard before a page that answers with the principal's id, and the API for tokens and links.
type fixture struct {
	*API

	t       *testing.T
	guard   *Guard
	handler http.Handler
	pool    *pgxpool.Pool
	log     *bytes.Buffer
}

func newFixture(t *testing.T, environ ...string) *fixture {
	t.Helper()
	settings, err := config.Load(append([]string{"HTTP_ADDR=127.0.0.1:8088"}, environ...))
	require.NoError(t, err)
	url := testkit.Database(t)
	opened, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	f := &fixture{t: t, log: &bytes.Buffer{}}
	f.pool, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	f.exec(`CREATE TABLE test_clock (ahead interval NOT NULL)`)
	f.exec(`INSERT INTO test_clock VALUES ('0')`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	for _, customer := range []string{"acme", "globex"} {
		f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
			VALUES ($1, 'https://crm.example.org', '{}', now(), now())`, customer)
	}
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(f.log), zap.DebugLevel))
	f.guard, err = New(Options{Store: opened, Logger: logger, Settings: settings})
	require.NoError(t, err)
	f.API = &API{Service: &service.Service{Store: opened, Logger: logger, Config: settings}}
	mux := http.NewServeMux()
	f.guard.Routes(mux)
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal := From(r.Context())
		if customer := r.PathValue("customer"); customer != "" && !principal.Sees(customer) {
			http.NotFound(w, r)
			return
		}
		if _, err := w.Write([]byte(principal.ID)); err != nil {
			t.Error(err)
		}
	})
	mux.Handle("/who", who)
	mux.Handle("/customers/{customer}", Require(Read, who))
	mux.Handle("POST /customers/{customer}/pause", Require(Pause, who))
	mux.Handle("/api/v1/who", Require(Read, who))
	f.handler = f.guard.Middleware(mux)
	return f
}

func (f *fixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

// advance moves the database's clock.
func (f *fixture) advance(by time.Duration) {
	f.t.Helper()
	f.exec(`UPDATE test_clock SET ahead = ahead + $1::interval`, by)
}

func (f *fixture) token(asked operatorapi.TokenAddition) operatorapi.TokenAdded {
	f.t.Helper()
	added, err := f.addToken(f.t.Context(), asked)
	require.NoError(f.t, err)
	return added
}

// link returns a link, and the path that opens it.
func (f *fixture) link(asked operatorapi.LinkAddition) (added operatorapi.LinkAdded, path string) {
	f.t.Helper()
	added, err := f.addLink(f.t.Context(), asked)
	require.NoError(f.t, err)
	_, path, found := strings.Cut(added.URL, "/l/")
	require.True(f.t, found)
	return added, "/l/" + path
}

// browser keeps cookies, and follows no redirect.
type browser struct {
	f    *fixture
	jar  http.CookieJar
	base *url.URL
	peer string
}

func (f *fixture) browser(base string) *browser {
	f.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(f.t, err)
	address, err := url.Parse(base)
	require.NoError(f.t, err)
	return &browser{f: f, jar: jar, base: address, peer: outside}
}

const console = "https://console.example.org"

func (b *browser) do(method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	b.f.t.Helper()
	request := httptest.NewRequestWithContext(b.f.t.Context(), method, b.base.String()+path, strings.NewReader(form.Encode()))
	request.RemoteAddr = b.peer
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	for _, cookie := range b.jar.Cookies(b.base) {
		request.AddCookie(cookie)
	}
	recorder := httptest.NewRecorder()
	b.f.handler.ServeHTTP(recorder, request)
	b.jar.SetCookies(b.base, recorder.Result().Cookies())
	return recorder
}

func (b *browser) get(path string, headers ...string) *httptest.ResponseRecorder {
	b.f.t.Helper()
	return b.do(http.MethodGet, path, nil, headers...)
}

// who returns the principal's id of the browser's requests.
func (b *browser) who() string {
	b.f.t.Helper()
	answer := b.get("/who")
	require.Equal(b.f.t, http.StatusOK, answer.Code)
	return answer.Body.String()
}
