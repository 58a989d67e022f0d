package lookup_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/lookup"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// timeout is that of one request to VOMO.
const timeout = 3 * time.Second

// reply is how VOMO answers requests of one kind.
type reply struct {
	status     int
	body       string
	retryAfter string
	location   string
	silent     bool // it never answers
	drops      bool // it closes the connection
}

func (a reply) write(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.silent:
		<-r.Context().Done()
		return
	case a.drops:
		panic(http.ErrAbortHandler)
	case a.retryAfter != "":
		w.Header().Set("Retry-After", a.retryAfter)
	case a.location != "":
		w.Header().Set("Location", a.location)
	}
	w.WriteHeader(a.status)
	if _, err := io.WriteString(w, a.body); err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
}

// vomoAnswers are what VOMO answers to one customer.
type vomoAnswers struct{ detail, list reply }

const (
	whole = `{"id":7,"first_name":"Ada","last_name":"Lovelace","email":null,"phone":null,"user_status":"VERIFIED",` +
		`"membership_role":"VOLUNTEER","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-02T00:00:00Z"}`
	listed = `{"data":[` + whole + `],"links":{"next":null},"meta":{"current_page":1,"total":1}}`
)

// fixture is a database, and a VOMO that answers each customer in its own way: a customer's token is its name.
type fixture struct {
	t       *testing.T
	pool    *pgxpool.Pool
	connect *connector.Connector
	answers map[string]vomoAnswers
}

func newFixture(t *testing.T, answers map[string]vomoAnswers) *fixture {
	t.Helper()
	f := &fixture{t: t, answers: answers}
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 6})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	f.pool, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(server.Close)
	f.connect = &connector.Connector{
		Store: from, Vault: &vault.Vault{Keeper: keeper, Keys: from}, Logger: zap.NewNop(), VomoBaseURL: server.URL, Timeout: timeout,
		Limits: budget.Limits{PerSecond: 10000},
	}
	for customer := range answers {
		f.add(customer)
	}
	return f
}

func (f *fixture) serve(w http.ResponseWriter, r *http.Request) {
	answers := f.answers[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if strings.HasSuffix(r.URL.Path, "/users") {
		answers.list.write(w, r)
		return
	}
	answers.detail.write(w, r)
}

func (f *fixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

// add adds a customer.
func (f *fixture) add(customer string) {
	f.t.Helper()
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		VALUES ($1, 'https://crm.example', '{"kind":"rest"}', now(), now())`, customer)
	sealed, err := f.connect.Vault.Seal(f.t.Context(), customer, store.CredentialVomoToken, []byte(customer))
	require.NoError(f.t, err)
	f.exec(`INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now())`, customer, sealed)
}

// reader returns a reader that makes each request once: retries belong to package vomo.
func (f *fixture) reader(t *testing.T, customer string) *lookup.Reader {
	t.Helper()
	known, err := f.connect.Store.Customer(t.Context(), customer)
	require.NoError(t, err)
	lease, err := f.connect.Store.TakeLease(t.Context(), customer, "test", time.Hour)
	require.NoError(t, err)
	source, err := f.connect.Source(t.Context(), known, lease, "test")
	require.NoError(t, err)
	source.Client, err = vomo.New(vomo.Config{
		BaseURL: f.connect.VomoBaseURL, Token: customer, Timeout: timeout, Attempts: 1,
		Before: func(context.Context) error { return lease.Outlasts(timeout) },
	})
	require.NoError(t, err)
	return &lookup.Reader{Connect: f.connect, Customer: known, Lease: lease, Job: "test", Source: source}
}

func TestEachAnswerOfVOMOSaysSomethingOfTheUserOrOfAll(t *testing.T) {
	t.Parallel()
	works := reply{status: http.StatusOK, body: listed}
	status := func(code int) reply { return reply{status: code} }
	says := func(body string) reply { return reply{status: http.StatusOK, body: body} }
	cases := map[string]struct {
		vomoAnswers

		id      string // "" for 7
		outcome lookup.Outcome
		code    string // of an unknown user
		stopped string // the code of the error that holds for all users; "" for none
	}{
		"whole":                {vomoAnswers: vomoAnswers{says(whole), works}, outcome: lookup.Found},
		"wrapped":              {vomoAnswers: vomoAnswers{says(`{"code":200,"data":` + whole + `}`), works}, outcome: lookup.Found},
		"whole-list-down":      {vomoAnswers: vomoAnswers{says(whole), status(500)}, outcome: lookup.Found},
		"participations-alone": {vomoAnswers: vomoAnswers{says(`{"id":7,"participations":[]}`), works}, outcome: lookup.Partial},
		"not-found":            {vomoAnswers: vomoAnswers{status(404), works}, outcome: lookup.NotFound},
		"not-found-list-down":  {vomoAnswers: vomoAnswers{status(404), status(500)}, outcome: lookup.NotFound},
		"invalid-id":           {vomoAnswers: vomoAnswers{status(500), status(500)}, id: "..", outcome: lookup.InvalidID},

		"another-user":  {vomoAnswers: vomoAnswers{says(strings.Replace(whole, "7", "8", 1)), works}, code: lookup.CodeUnreadable},
		"no-json":       {vomoAnswers: vomoAnswers{says(`<html>`), works}, code: lookup.CodeUnreadable},
		"empty":         {vomoAnswers: vomoAnswers{says(``), works}, code: lookup.CodeUnreadable},
		"gone":          {vomoAnswers: vomoAnswers{status(410), works}, code: lookup.CodeUnreadable},
		"server-error":  {vomoAnswers: vomoAnswers{status(500), works}, code: lookup.CodeUnreadable},
		"no-answer":     {vomoAnswers: vomoAnswers{reply{silent: true}, works}, code: lookup.CodeUnreadable},
		"dropped":       {vomoAnswers: vomoAnswers{reply{drops: true}, works}, code: lookup.CodeUnreadable},
		"redirect":      {vomoAnswers: vomoAnswers{reply{status: 302, location: "https://elsewhere.example"}, works}, code: lookup.CodeUnreadable},
		"forbidden":     {vomoAnswers: vomoAnswers{status(403), works}, code: lookup.CodeForbidden},
		"unauthorized":  {vomoAnswers: vomoAnswers{status(401), works}, code: lookup.CodeForbidden},
		"throttled":     {vomoAnswers: vomoAnswers{reply{status: 429, retryAfter: "60"}, works}, stopped: "vomo_throttled"},
		"maintenance":   {vomoAnswers: vomoAnswers{reply{status: 503, retryAfter: "60"}, works}, stopped: "vomo_5xx"},
		"down":          {vomoAnswers: vomoAnswers{status(500), status(500)}, stopped: "vomo_5xx"},
		"down-silent":   {vomoAnswers: vomoAnswers{reply{silent: true}, reply{drops: true}}, stopped: "vomo_timeout"},
		"broken":        {vomoAnswers: vomoAnswers{says(`<html>`), says(`<html>`)}, stopped: "vomo_broken_detail"},
		"down-rejected": {vomoAnswers: vomoAnswers{status(500), status(401)}, stopped: "vomo_5xx"},
		"no-token":      {vomoAnswers: vomoAnswers{status(401), status(401)}, stopped: "vomo_unauthorized"},
		"no-access":     {vomoAnswers: vomoAnswers{status(403), status(403)}, stopped: "vomo_forbidden"},
	}
	answers := map[string]vomoAnswers{}
	for customer, one := range cases {
		answers[customer] = one.vomoAnswers
	}
	f := newFixture(t, answers)
	for customer, want := range cases {
		t.Run(customer, func(t *testing.T) {
			t.Parallel()
			id := want.id
			if id == "" {
				id = "7"
			}

			answer, err := f.reader(t, customer).Ask(t.Context(), id)

			if want.stopped != "" {
				require.Equal(t, want.stopped, fault.CodeOf(err), err)
				require.Equal(t, lookup.Answer{}, answer, "an error says nothing about the user")
				return
			}
			require.NoError(t, err)
			require.Equal(t, want.outcome, answer.Outcome)
			require.Equal(t, want.code, answer.Code)
			require.Equal(t, want.code != "", answer.Cause != nil)
			require.Equal(t, want.outcome == lookup.Found, answer.Detail.User != nil)
		})
	}
}

func TestUserThatCannotBeMirroredIsFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t, map[string]vomoAnswers{"acme": {
		detail: reply{status: http.StatusOK, body: strings.Replace(whole, `"2026-01-02T00:00:00Z"`, `"soon"`, 1)},
	}})

	answer, err := f.reader(t, "acme").Ask(t.Context(), "7")

	require.NoError(t, err)
	require.Equal(t, lookup.Found, answer.Outcome)
	require.Nil(t, answer.Detail.User)
	require.Equal(t, "7", answer.Detail.Bad.ID)
}

func TestFaultsOfOursSayNothingAboutAUser(t *testing.T) {
	t.Parallel()
	rejected := vomoAnswers{detail: reply{status: http.StatusUnauthorized}, list: reply{status: http.StatusOK, body: listed}}
	answers := map[string]vomoAnswers{}
	for _, customer := range []string{"lane-lost", "interrupted", "no-credential"} {
		answers[customer] = rejected
	}
	f := newFixture(t, answers)
	stop := errors.New("the service stops")
	for customer, test := range map[string]struct {
		before func(reader *lookup.Reader) context.Context
		want   error
	}{
		"lane-lost": {func(reader *lookup.Reader) context.Context {
			require.NoError(t, reader.Lease.Release(t.Context()))
			return t.Context()
		}, store.ErrLaneLost},
		"interrupted": {func(*lookup.Reader) context.Context {
			stopped, cancel := context.WithCancelCause(t.Context())
			cancel(stop)
			return stopped
		}, stop},
		"no-credential": {func(*lookup.Reader) context.Context {
			f.exec(`DELETE FROM credentials WHERE customer_id = 'no-credential'`)
			return t.Context()
		}, connector.ErrNoCredential},
	} {
		reader := f.reader(t, customer)

		answer, err := reader.Ask(test.before(reader), "7")

		require.ErrorIs(t, err, test.want, customer)
		require.Equal(t, lookup.Answer{}, answer, customer)
	}
}

func TestEachAnswerAboutAUserShowsThatTheTokenWorks(t *testing.T) {
	t.Parallel()
	answers := map[string]vomoAnswers{
		"found": {detail: reply{status: http.StatusOK, body: whole}}, "not-found": {detail: reply{status: http.StatusNotFound}},
		"partial": {detail: reply{status: http.StatusOK, body: `{"id":7,"participations":[]}`}},
	}
	f := newFixture(t, answers)
	for customer := range answers {
		_, err := f.reader(t, customer).Ask(t.Context(), "7")
		require.NoError(t, err)
		var worked int
		row := f.pool.QueryRow(t.Context(), `SELECT count(*) FROM customer_tokens WHERE customer_id = $1 AND worked_at IS NOT NULL`, customer)
		require.NoError(t, row.Scan(&worked))
		require.Equal(t, 1, worked, customer)
	}
}
