package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// within bounds what a test waits for.
const within = 30 * time.Second

const canary = "canary-8c1f"

// fixture is the running service between a VOMO with every user and a CRM that rejects the user "bad".
type fixture struct {
	pool *pgxpool.Pool
	nats *testkit.NATSServer
	logs *observer.ObservedLogs
	stop func() // and waits for the service's end
}

func serveVomoAndCRM(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	switch {
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{
			"id": id, "first_name": "Ana", "last_name": nil, "email": "ana@example.org", "phone": nil, "user_status": nil,
			"membership_role": nil, "created_at": nil, "updated_at": "2026-03-01T12:00:00+00:00",
		}})
	case id == "vomo-bad":
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"code":"invalid","message":"` + canary + `@example.org is taken"}`))
	default:
		_, _ = w.Write([]byte(`{"id":"crm"}`))
	}
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(serveVomoAndCRM))
	t.Cleanup(web.Close)
	database, secrets := testkit.Database(t), "dev:"+filepath.Join(t.TempDir(), "key")
	f := &fixture{nats: testkit.NATS(t)}
	var err error
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	from, err := store.Open(t.Context(), database, store.Options{MaxConns: 2})
	require.NoError(t, err)
	defer from.Close()
	keeper, err := vault.OpenKeeper(t.Context(), secrets)
	require.NoError(t, err)
	defer func() { require.NoError(t, keeper.Close()) }()
	token, err := (&vault.Vault{Keeper: keeper, Keys: from}).Seal(t.Context(), "acme", store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		SELECT 'acme', $1, jsonb_build_object('kind', 'rest', 'url', $1::text), at, at + interval '0' FROM now() at`, web.URL+"/crm")
	f.exec(t, `INSERT INTO credentials VALUES ('acme', 'vomo_token', $1, now())`, token)
	require.NoError(t, from.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		version := store.Version{UpdatedAt: time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC), Hash: []byte("hash")}
		return deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: "acme", Job: "user_sync_poll"}, []deadletter.Rejection{
			{RecordID: "good", Version: version, Code: "destination_5xx", Retryable: true},
			{RecordID: "bad", Version: version, Code: "destination_5xx", Retryable: true},
			{RecordID: "reviewed", Version: version, Code: "http_422"},
		})
	}))
	f.exec(t, `UPDATE dead_letters SET next_attempt_at = rollcall_now() WHERE state = 'waiting'`)
	require.NoError(t, bus.Ensure(t.Context(), f.nats.JetStream(t), 1, 30*time.Second))
	settings, err := config.Load([]string{
		"DATABASE_URL=" + database, "NATS_URL=" + f.nats.URL, "SECRETS_URL=" + secrets, "CLAIM_TIMEOUT=30s",
		"HTTP_ADDR=127.0.0.1:0", "VOMO_BASE_URL=" + web.URL + "/v1", "ALLOW_PRIVATE_DESTINATIONS=true", "VOMO_REQUESTS_PER_MINUTE=0",
	})
	require.NoError(t, err)
	core, logs := observer.New(zapcore.DebugLevel)
	f.logs = logs
	ctx, cancel := context.WithCancel(t.Context())
	ended := testkit.NewSignal[error]()
	go func() { ended.Send(service.Serve(ctx, "dlqretry", settings, zap.New(core), run)) }()
	f.stop = func() {
		cancel()
		require.NoError(t, ended.Wait(t, within))
	}
	return f
}

func (f *fixture) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// value returns the only value of a query.
func value[T any](t *testing.T, f *fixture, statement string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, f.pool.QueryRow(t.Context(), statement, args...).Scan(&v))
	return v
}

func (f *fixture) state(t *testing.T, record string) string {
	t.Helper()
	return value[string](t, f, `SELECT coalesce(settled_how, state) || CASE WHEN attempts > 1 THEN ' tried' ELSE '' END FROM dead_letters
		WHERE record_id = $1 ORDER BY first_failed_at DESC LIMIT 1`, record)
}

func TestServiceRetriesPublishesAnswersAndDrains(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Eventually(t, func() bool { return f.state(t, "good") == "retried" && strings.HasPrefix(f.state(t, "bad"), "review") }, within, 20*time.Millisecond)
	id := value[uuid.UUID](t, f, `SELECT id FROM dead_letters WHERE record_id = 'bad' AND state = 'review'`)
	js := f.nats.JetStream(t)
	message := func(subject string) *jetstream.RawStreamMsg {
		stream, err := js.Stream(t.Context(), bus.StreamDLQ)
		require.NoError(t, err)
		found, err := stream.GetLastMsgForSubject(t.Context(), subject)
		if err != nil {
			return nil
		}
		return found
	}
	subject := "rollcall.dlq.review.user.acme." + id.String()
	require.Eventually(t, func() bool { return message(subject) != nil }, within, 20*time.Millisecond)

	question, err := json.Marshal(operatorapi.LetterQuestion{ID: id.String()})
	require.NoError(t, err)
	answer, err := f.nats.Conn(t).Request(service.APISubject("letters", "show"), question, within)
	require.NoError(t, err)
	var shown operatorapi.LetterShown
	require.NoError(t, json.Unmarshal(answer.Data, &shown))
	require.Equal(t, &destination.Answer{Status: 422, Text: `{"code":"invalid","message":"` + canary + `@example.org is taken"}`}, shown.DestinationAnswer)
	f.requireNoCanary(t, message(subject))

	reviewed := value[uuid.UUID](t, f, `SELECT id FROM dead_letters WHERE record_id = 'reviewed'`)
	_, err = js.Publish(t.Context(), "rollcall.dlq.retry.user.acme."+reviewed.String(), nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.state(t, "reviewed") == "retried" }, within, 20*time.Millisecond)
	f.stop()
}

// requireNoCanary checks that the destination's words are in no message, row or log in the clear.
func (f *fixture) requireNoCanary(t *testing.T, message *jetstream.RawStreamMsg) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"data": string(message.Data), "header": message.Header})
	require.NoError(t, err)
	require.NotContains(t, string(text), canary)
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM dead_letters l WHERE position($1 IN l::text) > 0 OR position($2::bytea IN l.answer_sealed) > 0`,
		canary, []byte(canary)))
	for _, table := range []string{"outbox", "alerts", "sync_audit", "job_log"} {
		require.Zero(t, value[int](t, f, `SELECT count(*) FROM `+table+` r WHERE position($1 IN r::text) > 0`, canary), table)
	}
	for _, line := range f.logs.All() {
		encoded, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(line.Entry, line.Context)
		require.NoError(t, err)
		require.NotContains(t, encoded.String(), canary)
	}
}
