package subscription_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/giving/subscription"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const customer = "acme"

// fixture is a customer before a Virtuous that has subscriptions only.
type fixture struct {
	*subscription.Subscriptions

	pool *pgxpool.Pool
	logs *observer.ObservedLogs

	mu     sync.Mutex
	has    map[int64]map[string]any
	next   int64
	before func(request *http.Request) int // what to answer instead; 0: the true answer
	after  func(request *http.Request) int // the same, after the request was carried out
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{has: map[int64]map[string]any{}, next: 31}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	database := testkit.Database(t)
	opened, err := store.Open(t.Context(), database, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+t.TempDir()+"/key")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	core, logs := observer.New(zap.DebugLevel)
	f.logs = logs
	f.Subscriptions = &subscription.Subscriptions{
		Store: opened, Vault: &vault.Vault{Keeper: keeper, Keys: opened}, Logger: zap.New(core), PublicURL: "https://hooks.example.org/",
		Open: func(context.Context, store.VirtuousConfig) (subscription.Client, error) {
			return virtuous.New(virtuous.Config{BaseURL: server.URL, Key: "v_key", Transport: server.Client().Transport})
		},
	}
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at) VALUES ($1, '', '{}', now(), now())`, customer)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours,
		stuck_after_hours, organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{}', 72, 24, '1', 'Acme', 'UTC', 'en-US', now())`, customer)
	return f
}

func (f *fixture) exec(t testing.TB, statement string, arguments ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// ServeHTTP answers as Virtuous does.
func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before != nil {
		if status := f.before(r); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	id, _ := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/api/Webhook/"), 10, 64)
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	if r.Method == http.MethodPost {
		id = f.next
		f.next++
		f.has[id] = map[string]any{}
	}
	shown, known := f.has[id]
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	maps.Copy(shown, body)
	shown["id"] = id
	if r.Method == http.MethodDelete {
		delete(f.has, id)
	}
	if f.after != nil {
		if status := f.after(r); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	_ = json.NewEncoder(w).Encode(shown)
}

// failing answers requests of a method with a status.
func failing(method string, status int) func(*http.Request) int {
	return func(r *http.Request) int {
		if r.Method == method {
			return status
		}
		return 0
	}
}

// secrets returns the customer's secret and the one before, as the receiver finds them.
func (f *fixture) secrets(t testing.TB) (secret, before string) {
	t.Helper()
	sealed, err := f.Store.WebhookSecrets(t.Context(), customer)
	require.NoError(t, err)
	open := func(name string, sealed []byte) string {
		if len(sealed) == 0 {
			return ""
		}
		plain, err := f.Vault.Open(t.Context(), customer, name, sealed)
		require.NoError(t, err)
		return string(plain)
	}
	return open(store.CredentialWebhookSecret, sealed.Secret), open(store.CredentialWebhookSecretBefore, sealed.Before)
}

func (f *fixture) states(t testing.TB) (states []string) {
	t.Helper()
	known, err := f.Of(t.Context(), customer)
	require.NoError(t, err)
	for _, one := range known {
		states = append(states, fmt.Sprintf("%s %d", one.State, one.VirtuousID))
	}
	return states
}

func TestAddCreatesASubscriptionAndASecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.before = func(*http.Request) int {
		require.Equal(t, []string{"requested 0"}, f.states(t), "the intent is stored before the request")
		secret, _ := f.secrets(t)
		require.Len(t, secret, 64, "the secret is stored before the request")
		return 0
	}
	added, err := f.Add(t.Context(), customer)
	require.NoError(t, err)
	f.before = nil
	require.EqualValues(t, 31, added.VirtuousID)
	require.Equal(t, []string{"active 31"}, f.states(t))
	secret, _ := f.secrets(t)
	require.Equal(t, "https://hooks.example.org/webhooks/virtuous/acme", f.has[31]["payloadUrl"])
	require.Equal(t, secret, f.has[31]["secret"])
	require.Equal(t, true, f.has[31]["giftDelete"])
	require.Equal(t, false, f.has[31]["projectCreate"])

	_, err = f.Add(t.Context(), customer)
	require.ErrorIs(t, err, subscription.ErrExists)
	verified, err := f.Verify(t.Context(), customer)
	require.NoError(t, err)
	require.Empty(t, verified.Differences)
	require.Empty(t, verified.Orphans)
	for _, line := range f.logs.All() {
		require.NotContains(t, fmt.Sprint(line.Message, line.ContextMap()), secret)
	}
}

func TestAddKeepsTheSecretThatThereIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	sealed, err := f.Vault.Seal(t.Context(), customer, store.CredentialWebhookSecret, []byte("given"))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO credentials (customer_id, name, sealed, updated_at) VALUES ($1, 'virtuous_webhook_secret', $2, now())`, customer, sealed)
	_, err = f.Add(t.Context(), customer)
	require.NoError(t, err)
	require.Equal(t, "given", f.has[31]["secret"])
}

func TestAddSendsNothingIfItCannotSucceed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.before = func(*http.Request) int { t.Error("a request was sent"); return 500 }
	for statement, want := range map[string]error{
		`UPDATE sync_configs SET paused_at = now()`:                                    subscription.ErrPaused,
		`UPDATE sync_configs SET offboarded_at = now()`:                                subscription.ErrNoGiving,
		`UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`: subscription.ErrNoGiving,
	} {
		f.exec(t, statement)
		_, err := f.Add(t.Context(), customer)
		require.ErrorIs(t, err, want)
		f.exec(t, `UPDATE sync_configs SET paused_at = NULL, offboarded_at = NULL`)
		f.exec(t, `UPDATE virtuous_configs SET enabled = true, disabled_reason = NULL`)
	}
	f.exec(t, `INSERT INTO webhook_subscriptions (customer_id, state, payload_url, toggles, requested_at, updated_at)
		VALUES ('acme', 'requested', 'https://x', '{}', now(), now())`)
	_, err := f.Add(t.Context(), customer)
	require.ErrorIs(t, err, subscription.ErrUnderWay)
	f.PublicURL = ""
	_, err = f.Add(t.Context(), customer)
	require.ErrorIs(t, err, subscription.ErrNoPublicURL)
	_, err = f.Remove(t.Context(), customer)
	require.ErrorIs(t, err, subscription.ErrNone)
}

func TestRejectedAddLeavesNoOrphan(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 429} {
		f := newFixture(t)
		f.before = failing(http.MethodPost, status)
		_, err := f.Add(t.Context(), customer)
		require.Error(t, err)
		require.NotErrorIs(t, err, subscription.ErrAnswerLost)
		require.Equal(t, []string{"removed 0"}, f.states(t))
	}
}

func TestLostAnswerLeavesAnOrphanThatVerifyNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.after = failing(http.MethodPost, http.StatusBadGateway)
	_, err := f.Add(t.Context(), customer)
	require.ErrorIs(t, err, subscription.ErrAnswerLost)
	require.ErrorIs(t, err, virtuous.ErrUnavailable)
	f.after = nil
	_, err = f.Add(t.Context(), customer)
	require.NoError(t, err)
	require.Len(t, f.has, 2)
	require.Equal(t, f.has[31]["secret"], f.has[32]["secret"], "deliveries of the orphan are duplicates")
	verified, err := f.Verify(t.Context(), customer)
	require.NoError(t, err)
	require.EqualValues(t, 32, verified.Subscription.VirtuousID)
	require.Empty(t, verified.Differences)
	require.Len(t, verified.Orphans, 1)
	require.Zero(t, verified.Orphans[0].VirtuousID)
}

func TestRequestOfAProcessThatDiedIsAnOrphan(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO webhook_subscriptions (customer_id, state, payload_url, toggles, requested_at, updated_at)
		VALUES ('acme', 'requested', 'https://x', '{}', now() - interval '3 minutes', now())`)
	_, err := f.Add(t.Context(), customer)
	require.NoError(t, err)
	require.Equal(t, []string{"active 31", "orphaned 0"}, f.states(t))
}

func TestVerifyNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Add(t.Context(), customer)
	require.NoError(t, err)
	for name, value := range map[string]any{
		"payloadUrl": "https://elsewhere.example.org", "active": false, "secret": "another", "giftDelete": false, "projectCreate": true,
	} {
		was := f.has[31][name]
		f.has[31][name] = value
		verified, err := f.Verify(t.Context(), customer)
		require.NoError(t, err)
		require.Equal(t, []string{name}, verified.Differences)
		f.has[31][name] = was
	}
	delete(f.has[31], "giftUpdate")
	f.has[31]["secret"] = ""
	verified, err := f.Verify(t.Context(), customer)
	require.NoError(t, err)
	require.Equal(t, []string{"giftUpdate"}, verified.Differences, "a secret that is not shown does not differ")
	known, err := f.Of(t.Context(), customer)
	require.NoError(t, err)
	require.Equal(t, []string{"giftUpdate"}, known[0].Differences)
	require.NotNil(t, known[0].VerifiedAt)

	f.before = failing(http.MethodGet, http.StatusForbidden)
	_, err = f.Verify(t.Context(), customer)
	require.ErrorIs(t, err, virtuous.ErrForbidden)
	f.before = nil
	delete(f.has, 31)
	verified, err = f.Verify(t.Context(), customer)
	require.NoError(t, err)
	require.Equal(t, []string{subscription.Missing}, verified.Differences)
}

func TestRotateSendsANewSecretAndKeepsTheOneBeforeForADay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Rotate(t.Context(), customer)
	require.ErrorIs(t, err, subscription.ErrNone)
	_, err = f.Add(t.Context(), customer)
	require.NoError(t, err)
	first, _ := f.secrets(t)
	f.has[31]["giftDelete"] = false
	_, err = f.Rotate(t.Context(), customer)
	require.NoError(t, err)
	second, before := f.secrets(t)
	require.NotEqual(t, first, second)
	require.Equal(t, first, before)
	require.Equal(t, second, f.has[31]["secret"])
	require.Equal(t, true, f.has[31]["giftDelete"], "the events are sent again")
	f.exec(t, `UPDATE credentials SET updated_at = now() - interval '24 hours 1 second' WHERE name = 'virtuous_webhook_secret_before'`)
	_, before = f.secrets(t)
	require.Empty(t, before)
}

func TestRotationWithoutAnAnswerIsContinuedWithTheSameSecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Add(t.Context(), customer)
	require.NoError(t, err)
	first, _ := f.secrets(t)
	f.before = failing(http.MethodPut, http.StatusBadGateway)
	_, err = f.Rotate(t.Context(), customer)
	require.ErrorIs(t, err, virtuous.ErrUnavailable)
	f.exec(t, `UPDATE credentials SET updated_at = now() - interval '2 days' WHERE name = 'virtuous_webhook_secret_before'`)
	second, before := f.secrets(t)
	require.Equal(t, first, before, "Virtuous signs with it as long as it has no other")
	require.Equal(t, first, f.has[31]["secret"])
	f.before = nil
	verified, err := f.Verify(t.Context(), customer)
	require.NoError(t, err)
	require.Equal(t, []string{subscription.RotationIsOpen, "secret"}, verified.Differences)
	_, err = f.Rotate(t.Context(), customer)
	require.NoError(t, err)
	secret, before := f.secrets(t)
	require.Equal(t, second, secret)
	require.Equal(t, first, before, "its day begins when Virtuous has the new one")
	require.Equal(t, second, f.has[31]["secret"])
}

// The answer to the first rotation comes when a second one has begun.
func TestLateEndOfARotationLeavesTheNextOneOpen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Add(t.Context(), customer)
	require.NoError(t, err)
	f.after = func(*http.Request) int {
		f.exec(t, `UPDATE webhook_subscriptions SET rotating_since = rotating_since + interval '1 second'`)
		return 0
	}
	_, err = f.Rotate(t.Context(), customer)
	require.NoError(t, err)
	f.after = nil
	verified, err := f.Verify(t.Context(), customer)
	require.NoError(t, err)
	require.Equal(t, []string{subscription.RotationIsOpen}, verified.Differences)
}

func TestRemoveIsTriedAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Add(t.Context(), customer)
	require.NoError(t, err)
	f.before = failing(http.MethodDelete, http.StatusServiceUnavailable)
	_, err = f.Remove(t.Context(), customer)
	require.ErrorIs(t, err, virtuous.ErrUnavailable)
	require.Equal(t, []string{"removing 31"}, f.states(t))
	f.before = nil
	_, err = f.Add(t.Context(), customer)
	require.NoError(t, err, "another one may be added")
	verified, err := f.Verify(t.Context(), customer)
	require.NoError(t, err)
	require.Len(t, verified.Orphans, 1)
	removed, err := f.Remove(t.Context(), customer)
	require.NoError(t, err)
	require.Len(t, removed, 2)
	require.Empty(t, f.has)
	require.Equal(t, []string{"removed 32", "removed 31"}, f.states(t))
	_, err = f.Remove(t.Context(), customer)
	require.ErrorIs(t, err, subscription.ErrNone)
}

func TestVerifyEndsOrphansThatVirtuousDoesNotHaveAnyMore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO webhook_subscriptions (customer_id, state, virtuous_webhook_id, payload_url, toggles, requested_at, ended_at, updated_at)
		VALUES ('acme', 'orphaned', 7, 'https://x', '{}', now(), now(), now())`)
	verified, err := f.Verify(t.Context(), customer)
	require.NoError(t, err)
	require.Nil(t, verified.Subscription)
	require.Empty(t, verified.Orphans)
	require.Equal(t, []string{"removed 7"}, f.states(t))
}
