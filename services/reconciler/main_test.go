package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const soon = 30 * time.Second

// morning is when the tests' database begins to live: a Monday, by which polls have answered for all until checkpoint.
var (
	morning    = time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	checkpoint = time.Date(2026, time.March, 2, 8, 30, 0, 0, time.UTC)
	yesterday  = time.Date(2026, time.March, 1, 10, 0, 0, 0, time.UTC)
)

// house is an installation with a VOMO and a CRM, and a clock that goes on from where a test puts it.
type house struct {
	t        *testing.T
	settings config.Config
	store    *store.Store
	pool     *pgxpool.Pool
	js       jetstream.JetStream
	server   *httptest.Server
	sealer   *vault.Vault

	mu      sync.Mutex
	people  map[int]person
	refused map[string]int // the CRM's status for an id
	asked   []string       // VOMO's queries
	written []string       // ids
}

// person is a user at VOMO.
type person struct {
	phone   string
	updated time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	database, broker := testkit.Database(t), testkit.NATS(t)
	h := &house{t: t, js: broker.JetStream(t), people: map[int]person{}, refused: map[string]int{}}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	var err error
	h.settings, err = config.Load([]string{
		"NATS_URL=" + broker.URL, "DATABASE_URL=" + database, "HTTP_ADDR=" + testkit.FreeAddr(t), "VOMO_BASE_URL=" + h.server.URL + "/v1",
		"SECRETS_URL=dev:" + filepath.Join(t.TempDir(), "key"), "ALLOW_PRIVATE_DESTINATIONS=true",
		"VOMO_REQUESTS_PER_SECOND=10000", "VOMO_REQUESTS_PER_MINUTE=0",
	})
	require.NoError(t, err)
	require.NoError(t, bus.Ensure(t.Context(), h.js, 1, h.settings.ClaimTimeout))
	h.store, err = store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(h.store.Close)
	h.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(h.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), h.settings.SecretsURL, "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	h.sealer = &vault.Vault{Keeper: keeper, Keys: h.store}
	h.exec(`CREATE TABLE test_clock AS SELECT interval '0' AS ahead`)
	h.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	h.clock(morning)
	h.onboard("acme")
	return h
}

// clock has the database's clock go on from a moment.
func (h *house) clock(moment time.Time) {
	h.t.Helper()
	h.exec(`UPDATE test_clock SET ahead = $1::timestamptz - now()`, moment)
}

// onboard sets a customer up as it stands after its first backfill.
func (h *house) onboard(customer string) {
	h.t.Helper()
	sealed, err := h.sealer.Seal(h.t.Context(), customer, store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(h.t, err)
	h.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at)
		VALUES ($1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), rollcall_now(), now(), rollcall_now())`,
		customer, h.server.URL+"/crm")
	h.exec(`UPDATE sync_configs SET active_since = onboarded_at`)
	h.exec(`INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now())`, customer, sealed)
	h.exec(`INSERT INTO sync_checkpoints VALUES ($1, 'user_sync', $2, now())`, customer, checkpoint)
}

// start runs the service in this process, and returns what stops it.
func (h *house) start() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, "reconciler", h.settings, zap.NewNop(), run) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(h.t, <-ended)
	})
	h.t.Cleanup(stop)
	return stop
}

// ask publishes a plain request, as an operator may.
func (h *house) ask(subject, body string) {
	h.t.Helper()
	_, err := h.js.Publish(h.t.Context(), subject, []byte(body))
	require.NoError(h.t, err)
}

// reconciledTimes waits until a customer's reconciliations are so many, and all that was asked for is settled.
func (h *house) reconciledTimes(customer string, times int) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		return values[int](h, `SELECT count(*) FROM reconciliation_runs WHERE customer_id = $1`, customer)[0] >= times && h.waiting() == 0
	}, soon, 20*time.Millisecond)
	require.Equal(h.t, []int{times}, values[int](h, `SELECT count(*) FROM reconciliation_runs WHERE customer_id = $1`, customer))
}

// waiting is how many requests are in the stream, or on their way there.
func (h *house) waiting() int {
	stream, err := h.js.Stream(h.t.Context(), bus.StreamReconcile)
	require.NoError(h.t, err)
	return int(min(stream.CachedInfo().State.Msgs, 1<<20)) +
		values[int](h, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.reconcile.%'`)[0]
}

func (h *house) exec(statement string, arguments ...any) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), statement, arguments...)
	require.NoError(h.t, err)
}

// values is the one column of a query.
func values[T any](h *house, query string, arguments ...any) []T {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(), query, arguments...)
	require.NoError(h.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(h.t, err)
	return got
}

// change gives users a new version.
func (h *house) change(at time.Time, phone string, ids ...int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.people[id] = person{phone: phone, updated: at}
	}
}

// saw is what VOMO was asked, and whom the CRM was sent, since it was last asked for.
func (h *house) saw() (asked, written []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked, written = h.asked, h.written
	h.asked, h.written = nil, nil
	slices.Sort(written)
	return asked, written
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Method == http.MethodPut {
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:]
		h.written = append(h.written, id)
		if status := h.refused[id]; status != 0 {
			w.WriteHeader(status)
			return
		}
		_, _ = io.WriteString(w, `{"id":"crm-`+id+`"}`)
		return
	}
	h.asked = append(h.asked, r.URL.RawQuery)
	after, _ := time.Parse(time.RFC3339, r.URL.Query().Get("updated_after"))
	data := []map[string]any{}
	for _, id := range h.changedSince(after) {
		data = append(data, map[string]any{
			"id": id, "first_name": "First", "last_name": "Last", "email": "u" + strconv.Itoa(id) + "@example.org", "phone": h.people[id].phone,
			"user_status": nil, "membership_role": nil, "created_at": "2025-01-01T00:00:00Z", "updated_at": h.people[id].updated.Format(time.RFC3339),
		})
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	_ = json.NewEncoder(w).Encode(map[string]any{
		"data": data[min((page-1)*15, len(data)):min(page*15, len(data))], "meta": map[string]any{"total": len(data), "per_page": 15},
	})
}

func (h *house) changedSince(after time.Time) []int {
	ids := []int{}
	for id, one := range h.people {
		if !one.updated.Before(after) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
