package retry

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

// within bounds what a test waits for.
const within = 30 * time.Second

const claimTimeout = 30 * time.Second

// written is a record that the CRM accepted.
type written struct {
	customer string
	id       string
	updated  time.Time
}

// fixture is a retrier between a VOMO and a CRM that answer what a test wants, with its own database.
type fixture struct {
	store   *store.Store
	vault   *vault.Vault
	pool    *pgxpool.Pool
	retrier *Retrier
	rounds  round.Config
	url     string
	// lastProbed is the user that the last round probed with.
	lastProbed string

	mu      sync.Mutex
	users   map[string]string // VOMO's updated_at by id; a missing user is a 404
	partial bool              // VOMO returns only a user's participations by id
	listed  map[string]string // what VOMO's list shows, as users; nil: it shows none
	vomo    func(path string) int
	crm     func(customer, id string) (int, string)
	asked   map[string]int // requests by VOMO's paths
	writes  []written
	deleted []string      // the CRM's ids
	tried   int           // requests of the CRM
	hanging chan struct{} // closed when requests that hang may continue
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{
		users: map[string]string{}, asked: map[string]int{}, hanging: make(chan struct{}),
		vomo: func(string) int { return 0 },
		crm:  func(string, string) (int, string) { return http.StatusOK, `{"id":"crm"}` },
	}
	web := httptest.NewServer(f)
	t.Cleanup(web.Close)
	f.url = web.URL
	database := testkit.Database(t)
	var err error
	f.store, err = store.Open(t.Context(), database, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(f.store.Close)
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	f.exec(t, `CREATE TABLE test_clock (ahead interval NOT NULL)`)
	f.exec(t, `INSERT INTO test_clock VALUES ('0')`)
	f.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	f.vault = &vault.Vault{Keeper: keeper, Keys: f.store}
	f.retrier = &Retrier{Store: f.store, Metrics: NewMetrics(prometheus.NewRegistry()), Changed: func() {}, Turn: time.Hour}
	f.rounds = round.Config{
		Store: f.store, Logger: zap.NewNop(), Holder: "dlqretry-1", LeaseFor: claimTimeout, Slots: 4, Kind: f.retrier.Kind(), Connect: f.newConnector(t),
	}
	f.onboard(t, "acme")
	return f
}

func (f *fixture) newConnector(t *testing.T) *connector.Connector {
	t.Helper()
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	vomoTransport := &http.Transport{}
	t.Cleanup(vomoTransport.CloseIdleConnections)
	factory := rest.Factory(rest.Config{Transport: transport, Timeout: 5 * time.Second}, destination.PrivateAccess{All: true})
	return &connector.Connector{
		Store: f.store, Vault: f.vault, Logger: zap.NewNop(), VomoBaseURL: f.url + "/v1", VomoTransport: vomoTransport,
		Timeout: 5 * time.Second, Limits: budget.Limits{PerSecond: 10000}, Concurrency: 4,
		RetryCaps: store.RetryCaps{Attempts: 3, Age: time.Hour},
		Breakers:  destination.NewBreakers(destination.BreakersConfig{OpenFor: 50 * time.Millisecond}),
		Opener:    &destination.Opener{Factories: map[string]destination.Factory{"rest": factory}},
	}
}

// onboard adds a customer whose destination is a part of the CRM.
func (f *fixture) onboard(t *testing.T, customer string) {
	t.Helper()
	sealed, err := f.vault.Seal(t.Context(), customer, store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at)
		SELECT $1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), at, at + interval '0', at FROM now() at`, customer, f.url+"/crm/"+customer)
	f.exec(t, `INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now())`, customer, sealed)
}

func (f *fixture) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// value returns the only value of a query.
func value[T any](t testing.TB, f *fixture, statement string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, f.pool.QueryRow(t.Context(), statement, args...).Scan(&v))
	return v
}

// advance moves the database's clock.
func (f *fixture) advance(t testing.TB, by time.Duration) {
	t.Helper()
	f.exec(t, `UPDATE test_clock SET ahead = ahead + $1::interval`, by)
}

func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		f.serveCRM(w, r)
		return
	}
	if r.Method == http.MethodDelete {
		f.serveDeletion(w, r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/users")
	f.asked[path]++
	id := strings.TrimPrefix(path, "/")
	updated, known := f.users[id]
	switch status := f.vomo(path); {
	case status != 0:
		w.WriteHeader(status)
	case path == "" && f.listed != nil:
		f.serveList(w, r)
	case path == "":
		data := []any{}
		if f.partial {
			for id, updated := range f.users {
				data = append(data, ana(id, updated))
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "meta": map[string]any{"total": len(data), "per_page": 15}})
	case f.partial && known:
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"id": id, "participations": []any{}}})
	case !known:
		w.WriteHeader(http.StatusNotFound)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"data": ana(id, updated)})
	}
}

// serveList answers a page of the list.
func (f *fixture) serveList(w http.ResponseWriter, r *http.Request) {
	const perPage = 15
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
	ids := slices.Sorted(maps.Keys(f.listed))
	data := []any{}
	for _, id := range ids[min((number-1)*perPage, len(ids)):min(number*perPage, len(ids))] {
		data = append(data, ana(id, f.listed[id]))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "meta": map[string]any{"total": len(ids), "per_page": perPage, "current_page": number}})
}

func ana(id, updated string) map[string]any {
	return map[string]any{
		"id": id, "first_name": "Ana", "last_name": nil, "email": "ana@example.org", "phone": nil, "user_status": nil,
		"membership_role": nil, "created_at": nil, "updated_at": updated,
	}
}

func (f *fixture) serveCRM(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/crm/"), "/users/vomo-")
	var record destination.Record
	if len(parts) != 2 || json.NewDecoder(r.Body).Decode(&record) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	f.mu.Lock()
	f.tried++
	answer := f.crm
	f.mu.Unlock()
	status, body := answer(parts[0], parts[1])
	if status == 0 { // the CRM hangs
		select {
		case <-f.hanging:
		case <-r.Context().Done():
		}
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusOK {
		f.mu.Lock()
		f.writes = append(f.writes, written{customer: parts[0], id: parts[1], updated: record.SourceUpdatedAt})
		f.mu.Unlock()
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client may have gone: some tests make it
}

// serveDeletion answers as the CRM does for a write of that id.
func (f *fixture) serveDeletion(w http.ResponseWriter, r *http.Request) {
	customer, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/crm/"), "/users/")
	f.mu.Lock()
	defer f.mu.Unlock()
	status, body := f.crm(customer, id)
	if status == http.StatusOK {
		f.deleted = append(f.deleted, id)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// set changes what VOMO and the CRM answer.
func (f *fixture) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// crmSays has the CRM answer so for these ids, or for all if none is named, and accept the others.
func (f *fixture) crmSays(status int, body string, ids ...string) {
	f.set(func() {
		f.crm = func(_, id string) (int, string) {
			if len(ids) == 0 || slices.Contains(ids, id) {
				return status, body
			}
			return http.StatusOK, `{"id":"crm"}`
		}
	})
}

func (f *fixture) wrote() []written {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]written(nil), f.writes...)
}

const (
	march = "2026-03-01T12:00:00+00:00"
	april = "2026-04-01T12:00:00+00:00"
)

// version returns the version of a user that VOMO changed at that time.
func (f *fixture) version(t testing.TB, customer, id, updated string) store.Version {
	t.Helper()
	at, err := time.Parse(time.RFC3339, updated)
	require.NoError(t, err)
	first, email := "Ana", "ana@example.org"
	key, err := f.vault.HashKey(t.Context(), customer)
	require.NoError(t, err)
	version, err := mirror.VersionOf(key, mirror.RecordOf(vomo.User{ID: id, FirstName: &first, Email: &email, UpdatedAt: at}))
	require.NoError(t, err)
	return version
}

// user adds a user to VOMO that the destination has, too.
func (f *fixture) user(t testing.TB, customer, id, updated string) {
	t.Helper()
	f.set(func() { f.users[id] = updated })
	version := f.version(t, customer, id, updated)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveMappings(ctx, customer, []store.Mapping{{VomoID: id, ExternalID: "crm", Email: "ana@example.org", Version: version}})
	}))
}

// letter adds a user to VOMO and opens a due letter for its version.
func (f *fixture) letter(t testing.TB, customer, id string, retryable bool) uuid.UUID {
	t.Helper()
	f.set(func() { f.users[id] = march })
	return f.letterFor(t, customer, id, f.version(t, customer, id, march), retryable)
}

func (f *fixture) letterFor(t testing.TB, customer, id string, version store.Version, retryable bool) uuid.UUID {
	t.Helper()
	code := "http_422"
	if retryable {
		code = "destination_5xx"
	}
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: customer, Job: "user_sync_poll", TraceID: "00-trace-01"},
			[]deadletter.Rejection{{RecordID: id, Version: version, Code: code, Retryable: retryable}})
	}))
	f.exec(t, `UPDATE dead_letters SET next_attempt_at = rollcall_now() WHERE state = 'waiting' AND record_id = $1`, id)
	return value[uuid.UUID](t, f, `SELECT id FROM dead_letters WHERE customer_id = $1 AND record_id = $2 AND state <> 'settled'`, customer, id)
}

// due makes every waiting letter due.
func (f *fixture) due(t testing.TB) {
	t.Helper()
	f.exec(t, `UPDATE dead_letters SET next_attempt_at = rollcall_now() WHERE state = 'waiting'`)
}

// round gives a customer a round as the loop does, after so many holds in a row, the last one for this reason.
func (f *fixture) round(t testing.TB, customer string, holds int, reason string) round.End {
	t.Helper()
	next := round.Next{Customer: customer, Holds: holds, LastReason: reason, Memo: f.lastProbed}
	end := round.New(f.rounds).Work(t.Context(), next, make(chan struct{}))
	f.lastProbed = end.Memo
	end.Memo = "" // a test that is about it looks at the requests
	return end
}

// state returns a letter's state, or how it was settled.
func (f *fixture) state(t testing.TB, id uuid.UUID) string {
	t.Helper()
	return value[string](t, f, `SELECT coalesce(settled_how, state) FROM dead_letters WHERE id = $1`, id)
}

func (f *fixture) attempts(t testing.TB, id uuid.UUID) int {
	t.Helper()
	return value[int](t, f, `SELECT attempts FROM dead_letters WHERE id = $1`, id)
}

// ended is a round that is over.
type ended struct {
	customer string
	end      round.End
}

// start gives customers their rounds, so many at once, until the test ends. The signal has the ends of the rounds.
func (f *fixture) start(t testing.TB, slots int) *testkit.Signal[ended] {
	t.Helper()
	ends := testkit.NewSignal[ended]()
	config := f.rounds
	config.Slots = slots
	config.Kind.Ended = func(customer string, end round.End) { ends.Send(ended{customer, end}) }
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { round.New(config).Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return ends
}

// ask makes these letters due, as an operator does.
func (f *fixture) ask(t testing.TB, ids ...uuid.UUID) {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.AskLetters(ctx, ids)
		require.Equal(t, int64(len(ids)), n)
		return err
	}))
}
