package pages

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/services/console/internal/access"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fixture is the site on its own database and NATS, whose database shows 2026-03-02T09:30:00Z. No other service runs.
type fixture struct {
	*Site

	t    testing.TB
	pool *pgxpool.Pool
	web  *httptest.Server
	who  access.Principal // who sends the requests
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	server := testkit.NATS(t)
	js := server.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, 30*time.Second))
	database := testkit.Database(t)
	opened, err := store.Open(t.Context(), database, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	settings, err := config.Load([]string{"DATABASE_URL=" + database})
	require.NoError(t, err)
	f := &fixture{t: t, pool: pool, who: access.Principal{ID: "user:op", Name: "op", Rights: access.Administrator.Rights()}, Site: &Site{
		Store: opened, Conn: js.Conn(), JetStream: js, Settings: settings, Logger: zap.NewNop(),
		Limits: dailyreport.DefaultLimits(), Floors: dailyreport.DefaultFloors(),
	}}
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '2026-03-02T09:30:00Z' $$`)
	f.Authenticate = func(r *http.Request) (access.Principal, error) { return access.From(r.Context()), nil }
	handler := f.Handler()
	f.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(access.With(r.Context(), f.who)))
	}))
	t.Cleanup(f.web.Close)
	return f
}

func (f *fixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

func (f *fixture) in(work func(ctx context.Context, tx *store.Tx) error) {
	f.t.Helper()
	require.NoError(f.t, f.Store.InTx(f.t.Context(), work))
}

// onboard sets a customer up as the onboarding does, with a complete backfill and a poll a minute ago.
func (f *fixture) onboard(customer string) {
	f.t.Helper()
	f.in(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SaveCustomer(ctx, store.Customer{
			ID: customer, ExternalSystemURL: "http://127.0.0.1/crm", Destination: []byte(`{"kind":"rest"}`), PollCadenceMinutes: 30,
		})
		return err
	})
	f.exec(`UPDATE sync_configs SET enabled = true, backfill_completed_at = '2026-02-01', last_polled_at = '2026-03-02T09:29:00Z',
		caught_up_at = '2026-03-02T09:28:55Z' WHERE customer_id = $1`, customer)
}

func (f *fixture) raise(customer, code string) {
	f.t.Helper()
	f.in(func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor(customer, code))
	})
}

func (f *fixture) get(path string) (status int, body string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.web.URL+path, nil)
	require.NoError(f.t, err)
	return f.send(request)
}

func (f *fixture) send(request *http.Request) (status int, body string) {
	f.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, response.Body.Close()) }()
	read, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	return response.StatusCode, string(read) + response.Header.Get("Location")
}

// main returns the page's own part, in one line.
func mainOf(body string) string {
	_, main, _ := strings.Cut(body, "<main")
	main, _, _ = strings.Cut(main, "</main>")
	return strings.Join(strings.Fields(main), " ")
}
