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

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

const soon = 30 * time.Second

// morning is the initial time of the tests' database: a Monday. Polls have covered all changes until checkpoint.
var (
	morning    = time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	checkpoint = time.Date(2026, time.March, 2, 8, 30, 0, 0, time.UTC)
	yesterday  = time.Date(2026, time.March, 1, 10, 0, 0, 0, time.UTC)
)

// fixture is an installation with a VOMO, a CRM, and a clock that runs on from where a test sets it.
type fixture struct {
	t        *testing.T
	settings config.Config
	store    *store.Store
	pool     *pgxpool.Pool
	js       jetstream.JetStream
	server   *httptest.Server
	sealer   *vault.Vault
	stop     func()

	mu      sync.Mutex
	people  map[int]person
	refused map[string]int // the CRM's status for an id
	details map[int]string // VOMO's status for a user by id, and its body after a space
	hidden  map[int]bool   // users that VOMO's list does not show
	total   int            // added to VOMO's count of users
	asked   []string       // VOMO's queries
	written []string       // ids
	deleted []string       // ids at the CRM
	onCRM   func(r *http.Request)

	onRequest func(r *http.Request) // any
}

// person is a user at VOMO.
type person struct {
	phone   string
	updated time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	database, broker := testkit.Database(t), testkit.NATS(t)
	f := &fixture{t: t, js: broker.JetStream(t), people: map[int]person{}, refused: map[string]int{}, details: map[int]string{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	var err error
	f.settings, err = config.Load([]string{
		"NATS_URL=" + broker.URL, "DATABASE_URL=" + database, "HTTP_ADDR=" + testkit.FreeAddr(t), "VOMO_BASE_URL=" + f.server.URL + "/v1",
		"SECRETS_URL=dev:" + filepath.Join(t.TempDir(), "key"), "ALLOW_PRIVATE_DESTINATIONS=true",
		"VOMO_REQUESTS_PER_SECOND=10000", "VOMO_REQUESTS_PER_MINUTE=0",
	})
	require.NoError(t, err)
	require.NoError(t, bus.Ensure(t.Context(), f.js, 1, f.settings.ClaimTimeout))
	f.store, err = store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(f.store.Close)
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), f.settings.SecretsURL, "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	f.sealer = &vault.Vault{Keeper: keeper, Keys: f.store}
	f.exec(`CREATE TABLE test_clock AS SELECT interval '0' AS ahead`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	f.clock(morning)
	f.onboard("acme")
	return f
}

// clock sets the database's clock; it runs on from there.
func (f *fixture) clock(moment time.Time) {
	f.t.Helper()
	f.exec(`UPDATE test_clock SET ahead = $1::timestamptz - now()`, moment)
}

// onboard adds a customer that has completed its first backfill.
func (f *fixture) onboard(customer string) {
	f.t.Helper()
	sealed, err := f.sealer.Seal(f.t.Context(), customer, store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(f.t, err)
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at)
		VALUES ($1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), rollcall_now(), now(), rollcall_now())`,
		customer, f.server.URL+"/crm")
	f.exec(`UPDATE sync_configs SET active_since = onboarded_at`)
	f.exec(`INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now())`, customer, sealed)
	f.exec(`INSERT INTO sync_checkpoints VALUES ($1, 'user_sync', $2, now())`, customer, checkpoint)
}

// start runs the service in this process and returns a function that stops it.
func (f *fixture) start() (stop func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, "reconciler", f.settings, zap.NewNop(), run) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(f.t, <-ended)
	})
	f.t.Cleanup(stop)
	f.stop = stop
	return stop
}

// stopAndStart restarts the service.
func (f *fixture) stopAndStart() {
	f.t.Helper()
	f.stop()
	f.start()
}

// publish publishes a plain request, as an operator may.
func (f *fixture) publish(subject, body string) {
	f.t.Helper()
	_, err := f.js.Publish(f.t.Context(), subject, []byte(body))
	require.NoError(f.t, err)
}

// waitReconciled waits until a customer has that many reconciliations and no request is waiting.
func (f *fixture) waitReconciled(customer string, times int) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		return values[int](f, `SELECT count(*) FROM reconciliation_runs WHERE customer_id = $1`, customer)[0] >= times && f.waiting() == 0
	}, soon, 20*time.Millisecond)
	require.Equal(f.t, []int{times}, values[int](f, `SELECT count(*) FROM reconciliation_runs WHERE customer_id = $1`, customer))
}

// waiting returns how many requests are in the stream or in the outbox.
func (f *fixture) waiting() int {
	stream, err := f.js.Stream(f.t.Context(), bus.StreamReconcile)
	require.NoError(f.t, err)
	return int(min(stream.CachedInfo().State.Msgs, 1<<20)) +
		values[int](f, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.reconcile.%'`)[0]
}

func (f *fixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

// values returns the one column of a query.
func values[T any](f *fixture, query string, arguments ...any) []T {
	f.t.Helper()
	rows, err := f.pool.Query(f.t.Context(), query, arguments...)
	require.NoError(f.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(f.t, err)
	return got
}

// change changes users at VOMO.
func (f *fixture) change(at time.Time, phone string, ids ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.people[id] = person{phone: phone, updated: at}
	}
}

// requests returns VOMO's queries and the ids written to the CRM since the last call.
func (f *fixture) requests() (asked, written []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked, written = f.asked, f.written
	f.asked, f.written = nil, nil
	slices.Sort(written)
	return asked, written
}

func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.onRequest != nil {
		f.onRequest(r)
	}
	if r.Method == http.MethodPut {
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:]
		f.written = append(f.written, id)
		if f.onCRM != nil {
			f.onCRM(r)
		}
		if status := f.refused[id]; status != 0 {
			w.WriteHeader(status)
			return
		}
		_, _ = io.WriteString(w, `{"id":"crm-`+id+`"}`)
		return
	}
	if r.Method == http.MethodDelete {
		f.serveDeletion(w, r)
		return
	}
	if id, isDetail := strings.CutPrefix(r.URL.Path, "/v1/users/"); isDetail {
		f.serveDetail(w, id)
		return
	}
	f.asked = append(f.asked, r.URL.RawQuery)
	after, _ := time.Parse(time.RFC3339, r.URL.Query().Get("updated_after"))
	data := []map[string]any{}
	for _, id := range f.changedSince(after) {
		data = append(data, f.user(id))
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	_ = json.NewEncoder(w).Encode(map[string]any{
		"data": data[min((page-1)*15, len(data)):min(page*15, len(data))], "meta": map[string]any{"total": len(data) + f.total, "per_page": 15},
	})
}

func (f *fixture) user(id int) map[string]any {
	return map[string]any{
		"id": id, "first_name": "First", "last_name": "Last", "email": "u" + strconv.Itoa(id) + "@example.org", "phone": f.people[id].phone,
		"user_status": nil, "membership_role": nil, "created_at": "2025-01-01T00:00:00Z", "updated_at": f.people[id].updated.Format(time.RFC3339),
	}
}

// serveDetail answers for one user by id.
func (f *fixture) serveDetail(w http.ResponseWriter, id string) {
	number, _ := strconv.Atoi(id)
	_, isThere := f.people[number]
	status, body, forced := strings.Cut(f.details[number], " ")
	if code, err := strconv.Atoi(status); err == nil {
		w.WriteHeader(code)
		if forced {
			_, _ = io.WriteString(w, body)
		}
		return
	}
	if !isThere {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": f.user(number)})
}

// serveDeletion deletes a record at the CRM; one that it has no more is not found.
func (f *fixture) serveDeletion(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if f.onCRM != nil {
		f.onCRM(r)
	}
	if status := f.refused[id]; status != 0 {
		w.WriteHeader(status)
		return
	}
	if slices.Contains(f.deleted, id) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	f.deleted = append(f.deleted, id)
	w.WriteHeader(http.StatusNoContent)
}

func (f *fixture) changedSince(after time.Time) []int {
	ids := []int{}
	for id, one := range f.people {
		if !one.updated.Before(after) && !f.hidden[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
