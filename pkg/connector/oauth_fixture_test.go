package connector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// tokenServer is Virtuous as far as tokens go. Refresh tokens are refresh-1, refresh-2 and so on, and access tokens alike.
type tokenServer struct {
	mu      sync.Mutex
	rotates bool
	refresh int // the number of the refresh token that is accepted
	access  int // the number of the access token that is accepted; -1: none
	grants  int
	asked   int
	answer  *tokenAnswer // instead of a grant
	// reached is called after the tokens have changed, before the answer leaves.
	reached func()
}

type tokenAnswer struct {
	status int
	body   string
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	status, body, reached := http.StatusUnauthorized, "", func() {}
	if r.URL.Path == "/Token" {
		status, body = s.token(r)
		if s.reached != nil {
			reached = s.reached
		}
	} else if r.Header.Get("Authorization") == fmt.Sprintf("Bearer access-%d", s.access) || r.Header.Get("Authorization") == "Bearer ap1-key" {
		status, body = http.StatusOK, `{"organizationUserId":7,"organizationName":"Relief"}`
	}
	s.mu.Unlock()
	if r.URL.Path == "/Token" {
		reached()
	}
	w.WriteHeader(status)
	if _, err := w.Write([]byte(body)); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (s *tokenServer) token(r *http.Request) (status int, body string) {
	s.asked++
	switch {
	case s.answer != nil:
		return s.answer.status, s.answer.body
	case r.FormValue("refresh_token") != fmt.Sprintf("refresh-%d", s.refresh):
		return http.StatusBadRequest, `{"error":"invalid_grant"}`
	}
	s.grants++
	s.access = s.grants
	if s.rotates {
		s.refresh++
	}
	return http.StatusOK, fmt.Sprintf(`{"access_token":"access-%d","token_type":"bearer","expires_in":1295999,"refresh_token":"refresh-%d"}`, s.access, s.refresh)
}

// set changes the server.
func (s *tokenServer) set(change func(*tokenServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// counts returns how many requests for tokens there were, and how many gave some.
func (s *tokenServer) counts() (asked, grants int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.grants
}

// oauthFixture is a customer with tokens that were obtained now, and two processes. The clock of the database is the test's.
type oauthFixture struct {
	t         *testing.T
	server    *tokenServer
	pool      *pgxpool.Pool
	vault     *vault.Vault
	processes [2]*connector.Virtuous
	logs      *observer.ObservedLogs
}

func newOAuthFixture(t *testing.T) *oauthFixture {
	t.Helper()
	f := &oauthFixture{t: t, server: &tokenServer{rotates: true, refresh: 1}}
	server := httptest.NewServer(f.server)
	t.Cleanup(server.Close)
	database := testkit.Database(t)
	var err error
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	f.exec(`CREATE TABLE test_clock AS SELECT interval '0' AS ahead`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	logged, logs := observer.New(zapcore.DebugLevel)
	f.logs = logs
	for i := range f.processes {
		from, err := store.Open(t.Context(), database, store.Options{MaxConns: 6})
		require.NoError(t, err)
		t.Cleanup(from.Close)
		f.vault = &vault.Vault{Keeper: keeper, Keys: from}
		transport := virtuous.NewTransport(4)
		t.Cleanup(transport.CloseIdleConnections)
		f.processes[i] = &connector.Virtuous{
			Store: from, Vault: f.vault, Logger: zap.New(logged), BaseURL: server.URL, Transport: transport, Timeout: 10 * time.Second,
			Hourly: budget.Hourly{PerHour: 1e9, Share: 1},
			Sleep:  func(ctx context.Context, _ time.Duration) error { return backoff.Sleep(ctx, time.Millisecond) },
		}
	}
	grant, err := f.processes[0].Refresh(t.Context(), "acme", "refresh-1", "test")
	require.NoError(t, err)
	f.giveTokens(grant)
	return f
}

func (f *oauthFixture) giveTokens(grant virtuous.Grant) {
	f.t.Helper()
	seal := func(name, plain string) []byte {
		sealed, err := f.vault.Seal(f.t.Context(), "acme", name, []byte(plain))
		require.NoError(f.t, err)
		return sealed
	}
	pair := store.OAuthPair{
		AccessSealed: seal(store.CredentialVirtuousToken, grant.Access), RefreshSealed: seal(store.CredentialVirtuousRefreshToken, grant.Refresh),
		GivenSealed: seal(store.CredentialVirtuousRefreshGiven, "refresh-1"),
		Times:       store.OAuthTimes{Life: grant.Life, RefreshAfter: grant.RefreshAfter()},
	}
	require.NoError(f.t, f.processes[0].Store.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveOAuth(ctx, "acme", pair)
	}))
}

func (f *oauthFixture) exec(statement string, args ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, args...)
	require.NoError(f.t, err)
}

// wait moves the clock of the database.
func (f *oauthFixture) wait(by time.Duration) {
	f.t.Helper()
	f.exec(`UPDATE test_clock SET ahead = ahead + $1::interval`, by)
}

// open opens Virtuous in a process.
func (f *oauthFixture) open(process int) (*virtuous.Client, error) {
	return f.processes[process].Open(f.t.Context(), store.VirtuousConfig{Customer: "acme", TimeZone: "UTC"}, nil, "test")
}

// use opens Virtuous in a process, and sends one request.
func (f *oauthFixture) use(process int) error {
	client, err := f.open(process)
	if err != nil {
		return err
	}
	_, err = client.Organization(f.t.Context())
	return err
}

// stored returns the customer's credentials, opened, by their names.
func (f *oauthFixture) stored() map[string]string {
	f.t.Helper()
	credentials := map[string]string{}
	names, err := f.processes[0].Store.CredentialNames(f.t.Context(), "acme")
	require.NoError(f.t, err)
	for _, name := range names {
		sealed, err := f.processes[0].Store.Credential(f.t.Context(), "acme", name)
		require.NoError(f.t, err)
		plain, err := f.vault.Open(f.t.Context(), "acme", name, sealed)
		require.NoError(f.t, err)
		require.NotContains(f.t, string(sealed), string(plain))
		credentials[name] = string(plain)
	}
	return credentials
}

func (f *oauthFixture) failure() (failure string) {
	f.t.Helper()
	require.NoError(f.t, f.pool.QueryRow(f.t.Context(), `SELECT coalesce(failure, '') FROM virtuous_oauth`).Scan(&failure))
	return failure
}

// requireAsked checks how many requests for tokens there were, and how many gave some, with the first one.
func (f *oauthFixture) requireAsked(asked, grants int, why ...any) {
	f.t.Helper()
	gotAsked, gotGrants := f.server.counts()
	require.Equal(f.t, [2]int{asked, grants}, [2]int{gotAsked, gotGrants}, why...)
}

// requireDiscreet checks that neither the logs nor the errors have a token.
func (f *oauthFixture) requireDiscreet(errs ...error) {
	f.t.Helper()
	texts := []string{}
	for _, entry := range f.logs.All() {
		fields, err := json.Marshal(entry.ContextMap())
		require.NoError(f.t, err)
		texts = append(texts, entry.Message, string(fields))
	}
	for _, err := range errs {
		texts = append(texts, fmt.Sprintf("%v %+v %#v", err, err, err))
	}
	for _, secret := range []string{"refresh-", "access-", "s3cret"} {
		require.NotContains(f.t, strings.Join(texts, "\n"), secret)
	}
}

// lifetime is that of the server's access tokens, and due is when a refresh is due.
const (
	lifetime = 1295999 * time.Second
	due      = lifetime - 24*time.Hour
)
