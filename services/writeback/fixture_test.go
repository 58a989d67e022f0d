package main

import (
	"context"
	"encoding/json"
	"fmt"
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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const customer = "acme"

// streamCreated is when the stream of the messages was created.
var streamCreated = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

// fixture is the service's parts between a VOMO and a CRM that answer what a test wants, with its own database.
type fixture struct {
	store    *store.Store
	vault    *vault.Vault
	pool     *pgxpool.Pool
	rounds   *round.Runner
	accepter *accepter
	reviewer *reviewer

	mu       sync.Mutex
	clock    time.Time                 // VOMO's
	users    map[string]map[string]any // VOMO's, by id
	answers  func(r *http.Request) int // VOMO's; 0: as usual
	posted   func(user map[string]any) // called before a POST is answered
	foreign  map[string]bool           // ids of members of another organisation
	posts    int                       // POSTs that VOMO answered with a success
	crm      map[string]map[string]any // the CRM's records, by id
	puts     int                       // writes to the CRM
	sequence uint64
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{
		clock: streamCreated.Add(24 * time.Hour), users: map[string]map[string]any{}, crm: map[string]map[string]any{}, foreign: map[string]bool{},
		answers: func(*http.Request) int { return 0 }, posted: func(map[string]any) {},
	}
	web := httptest.NewServer(f)
	t.Cleanup(web.Close)
	database := testkit.Database(t)
	var err error
	f.store, err = store.Open(t.Context(), database, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(f.store.Close)
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	f.vault = &vault.Vault{Keeper: keeper, Keys: f.store}
	f.rounds = round.New(round.Config{
		Store: f.store, Logger: zap.NewNop(), Holder: "writeback-1", LeaseFor: 30 * time.Second, Slots: 4,
		Kind: (&writer{store: f.store}).kind(), Connect: f.newConnector(t, web.URL),
	})
	created := func(context.Context, string) (time.Time, error) { return streamCreated, nil }
	f.accepter = &accepter{
		vault: f.vault, logger: zap.NewNop(), wake: func() {},
		customers: &intake.Customers{
			Store: f.store, Logger: zap.NewNop(), Count: func(string) {},
			Letters: &messageletter.Opener{Store: f.store, Vault: f.vault, Job: jobWriteback, StreamCreated: created},
		},
	}
	f.reviewer = &reviewer{store: f.store, vault: f.vault, logger: zap.NewNop(), wake: func() {}}
	sealed, err := f.vault.Seal(t.Context(), customer, store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at)
		SELECT $1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), at, at + interval '0', at FROM (SELECT now() - interval '1 hour' AS at) o`, customer,
		web.URL+"/crm")
	f.exec(t, `INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now() - interval '1 hour')`, customer, sealed)
	f.owns(t, false, "phone", "lastName")
	return f
}

func (f *fixture) newConnector(t *testing.T, address string) *connector.Connector {
	t.Helper()
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	vomoTransport := &http.Transport{}
	t.Cleanup(vomoTransport.CloseIdleConnections)
	factory := rest.Factory(rest.Config{Transport: transport, Timeout: 5 * time.Second}, destination.PrivateAccess{All: true})
	return &connector.Connector{
		Store: f.store, Vault: f.vault, Logger: zap.NewNop(), VomoBaseURL: address + "/v1", VomoTransport: vomoTransport,
		Timeout: 5 * time.Second, Limits: budget.Limits{PerSecond: 10000}, Concurrency: 4,
		Breakers: destination.NewBreakers(destination.BreakersConfig{OpenFor: 50 * time.Millisecond}),
		Opener:   &destination.Opener{Factories: map[string]destination.Factory{"rest": factory}},
	}
}

// owns sets which fields the external system owns; none: nothing is written back.
func (f *fixture) owns(t *testing.T, create bool, fields ...string) {
	t.Helper()
	encoded, err := store.WriteBack{Fields: fields, Create: create}.Encode()
	require.NoError(t, err)
	f.exec(t, `UPDATE sync_configs SET write_back = $1`, encoded)
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

// column returns the values of a query with one column.
func column[T any](t testing.TB, f *fixture, statement string, args ...any) []T {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), statement, args...)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return found
}

func (f *fixture) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, isCRM := strings.CutPrefix(r.URL.Path, "/crm/users/vomo-"); isCRM {
		f.serveCRM(w, r, id)
		return
	}
	w.Header().Set("Date", f.clock.Format(http.TimeFormat))
	if status := f.answers(r); status != 0 {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"message":"ana@example.org","errors":{"phone":["no"]}}`))
		return
	}
	if r.Method == http.MethodPost {
		f.servePost(w, r)
		return
	}
	id := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/v1/users"), "/")
	if id != "" {
		user, known := f.users[id]
		if !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": user})
		return
	}
	found := []any{}
	for _, id := range slices.Sorted(maps.Keys(f.users)) {
		email, _ := f.users[id]["email"].(string)
		if strings.Contains(strings.ToLower(email), strings.ToLower(r.URL.Query().Get("email_like"))) {
			found = append(found, f.users[id])
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"data": found, "links": map[string]any{"next": nil}, "meta": map[string]any{"total": len(found), "per_page": 15, "current_page": 1},
	})
}

// servePost is VOMO's upsert by address.
func (f *fixture) servePost(w http.ResponseWriter, r *http.Request) {
	var sent map[string]any
	_ = json.NewDecoder(r.Body).Decode(&sent)
	email, _ := sent["email"].(string)
	var user map[string]any
	for _, one := range f.users {
		if other, _ := one["email"].(string); strings.EqualFold(other, email) {
			user = one
		}
	}
	status := http.StatusOK
	if user == nil {
		status = http.StatusCreated
		user = vomoUser(strconv.Itoa(len(f.users)+1), email)
		f.users[user["id"].(string)] = user
	}
	id, _ := user["id"].(string)
	before := maps.Clone(user)
	if !f.foreign[id] {
		maps.Copy(user, sent)
		user["email"] = cmpOr(before["email"], sent["email"])
	}
	if !maps.Equal(before, user) {
		user["updated_at"] = f.clock.Format(time.RFC3339)
	}
	f.posts++
	f.posted(user)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": strconv.Itoa(status), "data": user})
}

func cmpOr(one, other any) any {
	if one == nil {
		return other
	}
	return one
}

func (f *fixture) serveCRM(w http.ResponseWriter, r *http.Request, id string) {
	var sent map[string]any
	_ = json.NewDecoder(r.Body).Decode(&sent)
	if f.crm[id] == nil {
		f.crm[id] = map[string]any{}
	}
	maps.Copy(f.crm[id], sent)
	f.puts++
	_ = json.NewEncoder(w).Encode(map[string]any{"id": "crm-" + id})
}

func vomoUser(id, email string) map[string]any {
	return map[string]any{
		"id": id, "first_name": "Ana", "last_name": "Ruiz", "email": email, "phone": "555-0100", "birthday": "1990-04-02", "gender": "F",
		"user_status": "VERIFIED", "membership_role": "VOLUNTEER", "created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-02-01T00:00:00+00:00",
	}
}

// user adds a user to VOMO that the destination has, too.
func (f *fixture) user(t *testing.T, id, email string) {
	t.Helper()
	f.set(func() { f.users[id] = vomoUser(id, email) })
	f.poll(t)
	f.set(func() { f.puts, f.posts = 0, 0 })
}

// edit changes a user in VOMO.
func (f *fixture) edit(id string, fields map[string]any) {
	f.set(func() {
		f.clock = f.clock.Add(time.Minute)
		maps.Copy(f.users[id], fields)
		f.users[id]["updated_at"] = f.clock.Format(time.RFC3339)
	})
}

// poll reads all users and writes them as a poll does. It returns how many the destination got.
func (f *fixture) poll(t *testing.T) (written int) {
	t.Helper()
	known, err := f.store.Customer(t.Context(), customer)
	require.NoError(t, err)
	lease, err := f.store.TakeLease(t.Context(), customer, "poller-1", 30*time.Second)
	require.NoError(t, err)
	defer func() { require.NoError(t, lease.Release(t.Context())) }()
	source, err := f.rounds.Connect.Source(t.Context(), known, lease, "user_sync_poll")
	require.NoError(t, err)
	lane, err := f.rounds.Connect.Lane(t.Context(), known, lease, connector.Job{Name: "user_sync_poll", ID: 1, TraceID: "00-trace-01", Events: true})
	require.NoError(t, err)
	page, err := source.Client.Probe(t.Context())
	require.NoError(t, err)
	outcome, err := lane.Apply(t.Context(), page, mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error { return nil })
	require.NoError(t, err)
	return outcome.Written
}

// send accepts a message as the service does, published a second after the one before.
func (f *fixture) send(t *testing.T, fields map[string]any) {
	t.Helper()
	f.sequence++
	f.deliver(t, f.sequence, fields)
}

// deliver accepts the message of that sequence.
func (f *fixture) deliver(t *testing.T, sequence uint64, fields map[string]any) {
	t.Helper()
	body := map[string]any{"customerId": customer}
	maps.Copy(body, fields)
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	require.NoError(t, f.accepter.accept(t.Context(), intake.Message{Created: streamCreated, Delivery: &worker.Delivery{
		Subject: bus.SubjectWriteback(customer), Data: encoded, Stream: bus.StreamWriteback, Sequence: sequence, Deliveries: 1,
		Published: streamCreated.Add(time.Duration(sequence) * time.Second),
	}}))
}

// round gives the customer a round as the loop does.
func (f *fixture) round(t *testing.T) round.End {
	t.Helper()
	customers, err := f.store.WritebackCustomers(t.Context())
	require.NoError(t, err)
	if len(customers) == 0 {
		return round.End{Reason: "held, or nothing waits"}
	}
	return f.rounds.Work(t.Context(), round.Next{Customer: customer}, make(chan struct{}))
}

// work sends a message and gives the customer a round, which must come to its end.
func (f *fixture) work(t *testing.T, fields map[string]any) {
	t.Helper()
	f.send(t, fields)
	require.Equal(t, round.End{}, f.round(t))
}

// inVomo returns a user's fields in VOMO.
func (f *fixture) inVomo(id string) map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.users[id])
}

func (f *fixture) counts() (posts, puts int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.posts, f.puts
}

func (f *fixture) requireCounts(t *testing.T, posts, puts int) {
	t.Helper()
	gotPosts, gotPuts := f.counts()
	require.Equal(t, fmt.Sprint("posts ", posts, ", puts ", puts), fmt.Sprint("posts ", gotPosts, ", puts ", gotPuts))
}

// row returns the state of the only row, with its outcome.
func (f *fixture) row(t *testing.T) string {
	t.Helper()
	return value[string](t, f, `SELECT state || coalesce(' ' || outcome, '') FROM writebacks`)
}
