package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/store"
)

// virtuousAPI answers GET /api/Organization/Current by the key, and counts requests.
type virtuousAPI struct {
	asked atomic.Int32

	mu      sync.Mutex
	answers map[string]virtuousAnswer // by key
	broken  bool                      // no subscription can be created or deleted
	created []string                  // bodies of requests for subscriptions, each with the key
	updated []string                  // secrets of subscriptions, as they were sent
	deleted []string                  // subscriptions, each with the key
	grants  map[string]virtuousAnswer // by refresh token; each is given once
	granted []string                  // refresh tokens that Virtuous got
}

type virtuousAnswer struct {
	status int
	body   string
}

func (v *virtuousAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.asked.Add(1)
	if r.URL.Path == "/Token" {
		v.giveToken(w, r)
		return
	}
	if r.Method == http.MethodPost {
		v.createSubscription(w, r)
		return
	}
	if r.Method == http.MethodPut {
		v.updateSubscription(w, r)
		return
	}
	if r.Method == http.MethodDelete {
		v.deleteSubscription(w, r)
		return
	}
	if r.URL.Path != "/api/Organization/Current" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	v.mu.Lock()
	answer, known := v.answers[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	v.mu.Unlock()
	if !known {
		answer = virtuousAnswer{http.StatusUnauthorized, "Authorization has been denied for this request."}
	}
	w.WriteHeader(answer.status)
	if _, err := w.Write([]byte(answer.body)); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (v *virtuousAPI) giveToken(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	token := r.FormValue("refresh_token")
	v.granted = append(v.granted, token)
	answer, known := v.grants[token]
	delete(v.grants, token)
	v.mu.Unlock()
	if !known {
		answer = virtuousAnswer{http.StatusBadRequest, `{"error":"invalid_grant"}`}
	}
	w.WriteHeader(answer.status)
	if _, err := w.Write([]byte(answer.body)); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// grant has Virtuous give an access token for a refresh token, and another refresh token, once.
func (v *virtuousAPI) grant(refresh, access, next string) {
	v.grantAnswer(refresh, http.StatusOK, `{"access_token":"`+access+`","token_type":"bearer","expires_in":1295999,"refresh_token":"`+next+`"}`)
}

func (v *virtuousAPI) grantAnswer(refresh string, status int, body string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.grants == nil {
		v.grants = map[string]virtuousAnswer{}
	}
	v.grants[refresh] = virtuousAnswer{status, body}
}

// refreshes are the refresh tokens that Virtuous got so far.
func (v *virtuousAPI) refreshes() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.granted)
}

func (v *virtuousAPI) createSubscription(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.created = append(v.created, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+" "+string(body))
	if v.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if _, err := w.Write([]byte(`{"id":77}`)); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (v *virtuousAPI) updateSubscription(w http.ResponseWriter, r *http.Request) {
	var sent struct{ Secret string }
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		panic(http.ErrAbortHandler)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	v.updated = append(v.updated, strings.TrimPrefix(r.URL.Path, "/api/Webhook/")+" "+sent.Secret)
	if _, err := w.Write([]byte(`{}`)); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// updates are the secrets that Virtuous got for subscriptions that it has, each with the subscription.
func (v *virtuousAPI) updates() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.updated)
}

func (v *virtuousAPI) deleteSubscription(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	v.deleted = append(v.deleted, strings.TrimPrefix(r.URL.Path, "/api/Webhook/")+" "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
}

// breaks has Virtuous create and delete no subscription, or do so again.
func (v *virtuousAPI) breaks(broken bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.broken = broken
}

func (v *virtuousAPI) deletions() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.deleted)
}

func (v *virtuousAPI) answer(key string, status int, body string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answers[key] = virtuousAnswer{status, body}
}

const (
	relief = `{"organizationUserId":67890,"organizationName":"Example Relief","organizationTimeZone":"US/Arizona",` +
		`"organizationCulture":"en-US","isEnabled":true}`
	shelter = `{"organizationUserId":11111,"organizationName":"Example Shelter","organizationTimeZone":"Eastern Standard Time",` +
		`"organizationCulture":"en-CA","isEnabled":true}`
	notEnabled = `{"organizationUserId":67890,"organizationName":"Example Relief","organizationTimeZone":"US/Arizona","isEnabled":false}`

	withVirtuous = `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive"}}`
	both         = `{"customerId":"acme","vomoToken":"t0ken","externalSystemUrl":"http://127.0.0.1:1/crm",` +
		`"virtuous":{"token":"k3y","transactionSource":"AcmeGive"}}`
)

// givingFixture is a settlerFixture with a Virtuous that knows some keys.
type givingFixture struct {
	*settlerFixture
	vomo     *vomoRequests
	virtuous *virtuousAPI
	sequence uint64
}

func newGivingFixture(t *testing.T) *givingFixture {
	t.Helper()
	f := &givingFixture{settlerFixture: newSettlerFixture(t, "2026-01-15T00:00:00Z"), virtuous: &virtuousAPI{answers: map[string]virtuousAnswer{}}}
	f.vomo = f.recordVomoRequests(t)
	f.virtuous.answer("k3y", http.StatusOK, relief)
	f.virtuous.answer("n3wk3y", http.StatusOK, relief)
	f.virtuous.answer("sh3lter", http.StatusOK, shelter)
	f.virtuous.answer("off", http.StatusOK, notEnabled)
	server := httptest.NewServer(f.virtuous)
	t.Cleanup(server.Close)
	f.settler.publicURL = "https://hooks.example.org"
	f.settler.virtuous = &connector.Virtuous{
		Store: f.store, Vault: f.vault, Logger: zap.NewNop(), BaseURL: server.URL, Timeout: probeTimeout,
		Hourly: budget.Hourly{PerHour: 1e9, Share: 1},
		Sleep:  func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	}
	return f
}

// receive handles a message and leaves its request pending.
func (f *givingFixture) receive(t *testing.T, body string) {
	t.Helper()
	f.sequence++
	f.receiveMessage(t, f.sequence, body)
}

// request handles a message and settles its request.
func (f *givingFixture) request(t *testing.T, body string) {
	t.Helper()
	f.receive(t, body)
	f.settleAll(t)
}

// donation adds a donation in a state.
func (f *givingFixture) donation(t *testing.T, id, status string) {
	t.Helper()
	f.sql(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
			next_attempt_at, submitted_at, next_lookup_at, review_reason, confirmed_at, virtuous_gift_id, created_at, status_at, updated_at)
		SELECT 'acme', '`+id+`', '`+status+`', 'AcmeGive', '\x00', '\x00', '\x00', at, at AS b, at AS c, 'match_needed', at AS d, 7, at AS e, at AS f, at AS g
		FROM (SELECT rollcall_now() AS at) now`)
}

// contact adds a contact of the platform in a state.
func (f *givingFixture) contact(t *testing.T, reference, status string) {
	t.Helper()
	f.sql(t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
			body_sealed, content_hash, next_attempt_at, submitted_at, next_lookup_at, review_reason, confirmed_at, virtuous_contact_id, created_at,
			status_at, updated_at)
		SELECT 'acme', 'acmegive', '`+reference+`', '`+status+`', 'AcmeGive', '\x00', at, '\x00', '\x00', at AS b, at AS c, at AS d, 'match_needed',
			at AS e, 7, at AS f, at AS g, at AS h
		FROM (SELECT rollcall_now() AS at) now`)
}

// subscription adds the customer's subscription at Virtuous.
func (f *givingFixture) subscription(t *testing.T) {
	t.Helper()
	f.sql(t, `INSERT INTO webhook_subscriptions (customer_id, state, virtuous_webhook_id, payload_url, toggles, requested_at, updated_at)
		VALUES ('acme', 'active', 31, 'https://hooks.example.org', '{giftCreate}', now(), now())`)
}

func text(t *testing.T, f *givingFixture, query string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&value))
	return value
}

// outcome is the state of the newest request, and its errors.
func (f *givingFixture) outcome(t *testing.T) (state string, errs map[string][]string) {
	t.Helper()
	line := text(t, f, `SELECT state || '|' || coalesce(errors::text, '{}') FROM onboarding_requests ORDER BY stream_seq DESC LIMIT 1`)
	state, encoded, _ := strings.Cut(line, "|")
	require.NoError(t, json.Unmarshal([]byte(encoded), &errs))
	return state, errs
}

func (f *givingFixture) requireOutcome(t *testing.T, want string) {
	t.Helper()
	state, errs := f.outcome(t)
	require.Equal(t, want, state, errs)
}

func (f *givingFixture) config(t *testing.T) store.VirtuousConfig {
	t.Helper()
	config, err := f.store.VirtuousConfig(t.Context(), "acme")
	require.NoError(t, err)
	return config
}
