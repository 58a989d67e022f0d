package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	customer = "acme"
	secret   = "a secret of the customer's"
	canary   = "Canary-Ruiz"
	header   = "X-Virtuous-Signature"
	maxBody  = 8 << 20
)

// fixture is a receiver with its own database and NATS.
type fixture struct {
	*receiver

	pool *pgxpool.Pool
	nats *testkit.NATSServer
	js   jetstream.JetStream
	url  string

	mu    sync.Mutex
	clock time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{clock: time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC), nats: testkit.NATS(t)}
	f.js = f.nats.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), f.js, 1, 30*time.Second))
	database := testkit.Database(t)
	opened, err := store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+t.TempDir()+"/key")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	publisher := &bus.Publisher{JetStream: f.js, Logger: zap.NewNop()}
	f.receiver = &receiver{
		keys: newKeyring(opened, &vault.Vault{Keeper: keeper, Keys: opened}, f.now), store: opened, publish: publisher.Publish,
		isConnected: f.js.Conn().IsConnected, signatureHeader: header, maxBody: maxBody, storeTime: time.Minute,
		bodies: newBodies(8, 4, 4, time.Minute), decoy: newDecoy(), logger: zap.NewNop(), metrics: newMetrics(prometheus.NewRegistry()), now: f.now,
	}
	web := httptest.NewServer(f.routes())
	t.Cleanup(web.Close)
	f.url = web.URL
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, enabled, onboarded_at, updated_at)
		VALUES ($1, '', '{}', true, now(), now())`, customer)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours,
		stuck_after_hours, organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{}', 72, 24, '1', 'Acme', 'UTC', 'en-US', now())`, customer)
	f.setSecret(t, store.CredentialWebhookSecret, secret)
	return f
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock
}

func (f *fixture) advance(by time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = f.clock.Add(by)
}

func (f *fixture) exec(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

func (f *fixture) setSecret(t *testing.T, name, value string) {
	t.Helper()
	sealed, err := f.keys.vault.Seal(t.Context(), customer, name, []byte(value))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO credentials (customer_id, name, sealed, updated_at) VALUES ($1, $2, $3, now())
		ON CONFLICT (customer_id, name) DO UPDATE SET sealed = excluded.sealed, updated_at = now()`, customer, name, sealed)
}

// sign returns the signature of a body with a secret.
func sign(key string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return mac.Sum(nil)
}

// request is what a test sends; the zero value is a right delivery.
type request struct {
	method, customer, contentType, encoding string
	signature                               string // "": the right one
	body                                    []byte
}

// answered is the whole answer, without its date.
type answered struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) send(t *testing.T, one request) answered {
	t.Helper()
	defaults := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	sent, err := http.NewRequestWithContext(t.Context(), defaults(one.method, http.MethodPost),
		f.url+"/webhooks/virtuous/"+defaults(one.customer, customer), bytes.NewReader(one.body))
	require.NoError(t, err)
	sent.Header.Set("Content-Type", defaults(one.contentType, "application/json; charset=utf-8"))
	if one.encoding != "" {
		sent.Header.Set("Content-Encoding", one.encoding)
	}
	sent.Header.Set(header, defaults(one.signature, base64.StdEncoding.EncodeToString(sign(secret, one.body))))
	response, err := http.DefaultClient.Do(sent)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	response.Header.Del("Date")
	return answered{status: response.StatusCode, header: response.Header, body: string(body)}
}

// deliver sends a right delivery and returns the status of the answer.
func (f *fixture) deliver(t *testing.T, body []byte) int {
	t.Helper()
	return f.send(t, request{body: body}).status
}

// written says how many messages the stream has, and rows the inbox and the letters.
func (f *fixture) written(t *testing.T) [3]int {
	t.Helper()
	stream, err := f.js.Stream(t.Context(), bus.StreamWebhooks)
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	counts := [3]int{int(info.State.Msgs)}
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM webhook_inbox), (SELECT count(*) FROM dead_letters)`).
		Scan(&counts[1], &counts[2]))
	return counts
}

// receivedGifts returns the ids of the gifts in the stream, in order, and checks each message.
func (f *fixture) receivedGifts(t *testing.T) (ids []int64) {
	t.Helper()
	stream, err := f.js.Stream(t.Context(), bus.StreamWebhooks)
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	for sequence := info.State.FirstSeq; sequence <= info.State.LastSeq; sequence++ {
		message, err := stream.GetMsg(t.Context(), sequence)
		require.NoError(t, err)
		require.LessOrEqual(t, len(message.Data), 128<<10)
		require.Equal(t, "rollcall.webhooks.virtuous.acme", message.Subject)
		require.NotEmpty(t, message.Header.Get(bus.HeaderMsgID))
		part := &rollcallv1.WebhookPart{}
		require.NoError(t, rollcallv1.Read(message.Data, part))
		require.Equal(t, "gift_create", part.GetEvent())
		require.Equal(t, "1", part.GetOrganizationId())
		plain, err := f.keys.vault.Open(t.Context(), customer, inbox.PurposePart, part.GetSealed())
		require.NoError(t, err)
		require.Contains(t, string(plain), canary)
		require.NotContains(t, string(part.GetSealed()), canary, "what is published is sealed")
		delivery, err := virtuous.ParseDelivery(plain)
		require.NoError(t, err)
		records := delivery.Records()
		require.Len(t, records, int(part.GetRecords()))
		for _, record := range records {
			ids = append(ids, record.ID)
		}
	}
	return ids
}

// delivery returns a delivery of new gifts with these ids, each with notes of a length.
func delivery(t *testing.T, notes int, ids ...int) []byte {
	t.Helper()
	models := make([]json.RawMessage, 0, len(ids))
	for _, id := range ids {
		models = append(models, fmt.Appendf(nil, `{"gift":{"id":%d,"contactName":%q,"amount":12.5,"notes":%q}}`, id, canary, strings.Repeat("n", notes)))
	}
	body, err := json.Marshal(map[string]any{"event": "GiftCreate", "models": models})
	require.NoError(t, err)
	return body
}
