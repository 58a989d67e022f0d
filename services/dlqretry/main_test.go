package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
	"rollcall.dev/pkg/worker"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// within bounds what a test waits for; nothing comes near it unless it is broken.
const within = 30 * time.Second

const claimTimeout = 30 * time.Second

// written is a record as the CRM got it.
type written struct {
	customer string
	id       string
	updated  time.Time
}

// desk is the service's parts between a VOMO and a CRM that say what a test wants, on a database and a NATS of its own.
type desk struct {
	store   *store.Store
	vault   *vault.Vault
	pool    *pgxpool.Pool
	server  *testkit.NATSServer
	js      jetstream.JetStream
	retry   *retrier
	follow  *follower
	redrive *redriver
	review  *republished
	told    *advisories
	now     *testkit.Clock // of the queue
	url     string
	secrets string
	last    string // by whom the destination was tried in the turn before

	mu      sync.Mutex
	users   map[string]string // VOMO's updated_at by id; absent: 404
	partial bool              // by its id VOMO gives a user's participations alone
	vomo    func(path string) int
	crm     func(customer, id string) (int, string)
	asked   map[string]int // VOMO's paths
	writes  []written
	tried   int           // requests of the CRM
	hanging chan struct{} // closed when requests that hang may go on
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{
		users: map[string]string{}, asked: map[string]int{}, now: testkit.NewClock(time.Time{}), hanging: make(chan struct{}),
		vomo: func(string) int { return 0 },
		crm:  func(string, string) (int, string) { return http.StatusOK, `{"id":"crm"}` },
	}
	web := httptest.NewServer(d)
	t.Cleanup(web.Close)
	d.url = web.URL
	database := testkit.Database(t)
	var err error
	d.store, err = store.Open(t.Context(), database, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(d.store.Close)
	d.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(d.pool.Close)
	d.exec(t, `CREATE TABLE test_clock (ahead interval NOT NULL)`)
	d.exec(t, `INSERT INTO test_clock VALUES ('0')`)
	d.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	d.secrets = "dev:" + filepath.Join(t.TempDir(), "key")
	keeper, err := vault.OpenKeeper(t.Context(), d.secrets)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	d.vault = &vault.Vault{Keeper: keeper, Keys: d.store}
	d.server = testkit.NATS(t)
	d.js = d.server.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), d.js, 1, claimTimeout))
	d.wire(t)
	d.onboard(t, "acme")
	return d
}

// wire makes the service's parts as run does.
func (d *desk) wire(t *testing.T) {
	t.Helper()
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	vomoTransport := &http.Transport{}
	t.Cleanup(vomoTransport.CloseIdleConnections)
	factory := rest.Factory(rest.Config{Transport: transport, Timeout: 5 * time.Second}, destination.PrivateAccess{All: true})
	logger, counted := zap.NewNop(), newMetrics(prometheus.NewRegistry())
	publisher := &bus.Publisher{JetStream: d.js, Logger: logger}
	d.follow = &follower{
		store: d.store, js: d.js, publisher: publisher, logger: logger, metrics: counted, woken: make(chan struct{}, 1),
	}
	d.retry = &retrier{
		store: d.store, logger: logger, metrics: counted, holder: "dlqretry-1", leaseFor: claimTimeout, slots: 4,
		queue: newQueue(4, time.Now), woken: make(chan struct{}, 1), changed: d.follow.wake,
		connect: &connector.Connector{
			Store: d.store, Vault: d.vault, Logger: logger, VomoBaseURL: d.url + "/v1", VomoTransport: vomoTransport,
			Timeout: 5 * time.Second, Limits: budget.Limits{PerSecond: 10000}, Concurrency: 4,
			RetryCaps: store.RetryCaps{Attempts: 3, Age: time.Hour},
			Breakers:  destination.NewBreakers(destination.BreakersConfig{OpenFor: 50 * time.Millisecond}),
			Opener:    &destination.Opener{Factories: map[string]destination.Factory{"rest": factory}},
		},
	}
	d.redrive = &redriver{store: d.store, vault: d.vault, publisher: publisher, logger: logger, asked: func(customers ...string) {
		d.retry.wake(customers...)
		d.follow.wake()
	}}
	d.review = &republished{store: d.store, js: d.js, redriver: d.redrive, logger: logger}
	letters := &deadletter.Opener{Store: d.store, Vault: d.vault, StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
		return bus.StreamCreated(ctx, d.js, name)
	}}
	d.told = &advisories{store: d.store, js: d.js, letters: letters, logger: logger, changed: d.follow.wake}
}

// onboard makes a customer whose destination is the CRM's own corner.
func (d *desk) onboard(t *testing.T, customer string) {
	t.Helper()
	sealed, err := d.vault.Seal(t.Context(), customer, store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(t, err)
	d.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at)
		SELECT $1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), at, at + interval '0', at FROM now() at`, customer, d.url+"/crm/"+customer)
	d.exec(t, `INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now())`, customer, sealed)
}

func (d *desk) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := d.pool.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// value is the one value that a statement returns.
func value[T any](t testing.TB, d *desk, statement string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, d.pool.QueryRow(t.Context(), statement, args...).Scan(&v))
	return v
}

// advance moves the database's clock.
func (d *desk) advance(t testing.TB, by time.Duration) {
	t.Helper()
	d.exec(t, `UPDATE test_clock SET ahead = ahead + $1::interval`, by)
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		d.serveCRM(w, r)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/users")
	d.asked[path]++
	id := strings.TrimPrefix(path, "/")
	updated, known := d.users[id]
	switch status := d.vomo(path); {
	case status != 0:
		w.WriteHeader(status)
	case path == "":
		data := []any{}
		if d.partial {
			for id, updated := range d.users {
				data = append(data, ana(id, updated))
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "meta": map[string]any{"total": len(data), "per_page": 15}})
	case d.partial && known:
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"id": id, "participations": []any{}}})
	case !known:
		w.WriteHeader(http.StatusNotFound)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"data": ana(id, updated)})
	}
}

func ana(id, updated string) map[string]any {
	return map[string]any{
		"id": id, "first_name": "Ana", "last_name": nil, "email": "ana@example.org", "phone": nil, "user_status": nil,
		"membership_role": nil, "created_at": nil, "updated_at": updated,
	}
}

func (d *desk) serveCRM(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/crm/"), "/users/vomo-")
	var record destination.Record
	if len(parts) != 2 || json.NewDecoder(r.Body).Decode(&record) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	d.mu.Lock()
	d.tried++
	answer := d.crm
	d.mu.Unlock()
	status, body := answer(parts[0], parts[1])
	if status == 0 { // it hangs
		select {
		case <-d.hanging:
		case <-r.Context().Done():
		}
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusOK {
		d.mu.Lock()
		d.writes = append(d.writes, written{customer: parts[0], id: parts[1], updated: record.SourceUpdatedAt})
		d.mu.Unlock()
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client may have gone: some tests make it
}

// set changes what VOMO and the CRM say.
func (d *desk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// crmSays answers these ids so, all where none is named, and takes the others.
func (d *desk) crmSays(status int, body string, ids ...string) {
	d.set(func() {
		d.crm = func(_, id string) (int, string) {
			if len(ids) == 0 || slices.Contains(ids, id) {
				return status, body
			}
			return http.StatusOK, `{"id":"crm"}`
		}
	})
}

func (d *desk) wrote() []written {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]written(nil), d.writes...)
}

const (
	march = "2026-03-01T12:00:00+00:00"
	april = "2026-04-01T12:00:00+00:00"
)

// version is that of a user as VOMO has it at that time.
func (d *desk) version(t testing.TB, customer, id, updated string) store.Version {
	t.Helper()
	at, err := time.Parse(time.RFC3339, updated)
	require.NoError(t, err)
	first, email := "Ana", "ana@example.org"
	key, err := d.vault.HashKey(t.Context(), customer)
	require.NoError(t, err)
	version, err := mirror.VersionOf(key, mirror.RecordOf(vomo.User{ID: id, FirstName: &first, Email: &email, UpdatedAt: at}))
	require.NoError(t, err)
	return version
}

// user gives VOMO a user, who stands in the destination, too.
func (d *desk) user(t testing.TB, customer, id, updated string) {
	t.Helper()
	d.set(func() { d.users[id] = updated })
	version := d.version(t, customer, id, updated)
	require.NoError(t, d.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveMappings(ctx, customer, []store.Mapping{{VomoID: id, ExternalID: "crm", Email: "ana@example.org", Version: version}})
	}))
}

// letter gives VOMO a user, and opens a letter for the version that it has now. It is due unless said otherwise.
func (d *desk) letter(t testing.TB, customer, id string, retryable bool) uuid.UUID {
	t.Helper()
	d.set(func() { d.users[id] = march })
	return d.letterFor(t, customer, id, d.version(t, customer, id, march), retryable)
}

func (d *desk) letterFor(t testing.TB, customer, id string, version store.Version, retryable bool) uuid.UUID {
	t.Helper()
	code := "http_422"
	if retryable {
		code = "destination_5xx"
	}
	require.NoError(t, d.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: customer, Job: "user_sync_poll", TraceID: "00-trace-01"},
			[]deadletter.Refused{{RecordID: id, Version: version, Code: code, Retryable: retryable}})
	}))
	d.exec(t, `UPDATE dead_letters SET next_attempt_at = rollcall_now() WHERE state = 'waiting' AND record_id = $1`, id)
	return value[uuid.UUID](t, d, `SELECT id FROM dead_letters WHERE customer_id = $1 AND record_id = $2 AND state <> 'settled'`, customer, id)
}

// due makes every waiting letter due.
func (d *desk) due(t testing.TB) {
	t.Helper()
	d.exec(t, `UPDATE dead_letters SET next_attempt_at = rollcall_now() WHERE state = 'waiting'`)
}

// turn gives a customer a turn as the loop does, with as many holds behind it.
func (d *desk) turn(t testing.TB, customer string, holds int, reason string) ended {
	t.Helper()
	result := d.retry.turn(t.Context(), turnFor{customer: customer, holds: holds, reason: reason, asked: d.last}, make(chan struct{}))
	d.last = result.asked
	result.asked = "" // where it has to do with it, a test looks at what was sent
	return result
}

// state is how a letter stands: its state, or how it was settled.
func (d *desk) state(t testing.TB, id uuid.UUID) string {
	t.Helper()
	return value[string](t, d, `SELECT coalesce(settled_how, state) FROM dead_letters WHERE id = $1`, id)
}

func (d *desk) attempts(t testing.TB, id uuid.UUID) int {
	t.Helper()
	return value[int](t, d, `SELECT attempts FROM dead_letters WHERE id = $1`, id)
}

// start runs something beside the test until it ends.
func start(t testing.TB, run func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// read works the consumer's messages with the handler until the test ends.
func (d *desk) read(t testing.TB, stream, durable string, handler worker.Handler) {
	t.Helper()
	conn := d.server.Conn(t)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	consumer, err := js.Consumer(t.Context(), stream, durable)
	require.NoError(t, err)
	reading := &worker.Worker{
		Name: durable, Conn: conn, Consumer: consumer, Slots: 2, Handler: handler, Letters: noLetters{zap.NewNop()}, Logger: zap.NewNop(),
	}
	start(t, func(ctx context.Context) { _ = reading.Run(ctx) })
}

// dlq is what ROLLCALL_DLQ shows, by sequence.
func (d *desk) dlq(t testing.TB) map[uint64]*jetstream.RawStreamMsg {
	t.Helper()
	stream, err := d.js.Stream(t.Context(), bus.StreamDLQ)
	require.NoError(t, err)
	shown := map[uint64]*jetstream.RawStreamMsg{}
	state := stream.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		if message, err := stream.GetMsg(t.Context(), sequence); err == nil {
			shown[sequence] = message
		}
	}
	return shown
}

// requireShown waits until the stream shows exactly these letters, each once and as the table has it.
func (d *desk) requireShown(t testing.TB, letters ...uuid.UUID) {
	t.Helper()
	want := map[string]int{}
	for _, id := range letters {
		want[id.String()] = 1
	}
	require.Eventually(t, func() bool {
		got := map[string]int{}
		for sequence, message := range d.dlq(t) {
			id := message.Header.Get(bus.HeaderLetterID)
			got[id]++
			if value[int](t, d, `SELECT count(*) FROM dead_letters WHERE id = $1 AND shown_seq = $2 AND shown_revision = revision`, id, int64(sequence)) != 1 {
				return false
			}
		}
		if len(got) != len(want) {
			return false
		}
		for id, count := range want {
			if got[id] != count {
				return false
			}
		}
		return true
	}, within, 20*time.Millisecond)
}

// ask is an operator's request for these letters.
func (d *desk) ask(t testing.TB, ids ...uuid.UUID) {
	t.Helper()
	require.NoError(t, d.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.AskLetters(ctx, ids)
		require.Equal(t, int64(len(ids)), n)
		return err
	}))
}
