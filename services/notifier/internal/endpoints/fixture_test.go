package endpoints

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

// timeout limits each wait of a test. Working code needs far less.
const timeout = 60 * time.Second

// fixture is a database whose clock a test moves, with a consumer, a sender and the API. Nothing is sent unless the test says so.
type fixture struct {
	*store.Store
	t        *testing.T
	url      string
	consumer *Consumer
	sender   *Sender
	api      *API
	events   int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, url: testkit.Database(t)}
	f.exec(`CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	f.exec(`INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	var err error
	f.Store, err = store.Open(t.Context(), f.url, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	private := destination.PrivateAccess{All: true}
	client := NewClient(private)
	t.Cleanup(client.CloseIdleConnections)
	logger := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	f.sender = &Sender{Store: f.Store, Vault: &vault.Vault{Keeper: keeper, Keys: f.Store}, Client: client, Logger: logger, Every: 20 * time.Millisecond}
	f.consumer = &Consumer{
		Store: f.Store, Logger: logger, MessageID: func(d *worker.Delivery) string { return d.Header[bus.HeaderMsgID][0] }, Added: f.sender.Wake,
	}
	f.api = &API{Sender: f.sender, Private: private, EnsureRecords: func(context.Context) error { return nil }}
	for _, customer := range []string{"acme", "globex"} {
		f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, admin_email, onboarded_at, updated_at)
			SELECT $1, 'https://crm.example', '{"kind":"rest"}', 'it@example.org', rollcall_now(), rollcall_now()`, customer)
		_, err := f.sender.Vault.EnsureKey(t.Context(), customer)
		require.NoError(t, err)
	}
	return f
}

func (f *fixture) exec(statement string, args ...any) {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.url)
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, conn.Close(context.WithoutCancel(f.t.Context()))) }()
	_, err = conn.Exec(f.t.Context(), statement, args...)
	require.NoError(f.t, err)
}

// text returns the one text of a statement.
func (f *fixture) text(statement string, args ...any) string {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.url)
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, conn.Close(context.WithoutCancel(f.t.Context()))) }()
	var found string
	require.NoError(f.t, conn.QueryRow(f.t.Context(), `SELECT coalesce((`+statement+`)::text, 'none')`, args...).Scan(&found))
	return found
}

func (f *fixture) advance(d time.Duration) {
	f.t.Helper()
	f.exec(`UPDATE test_clock SET at = at + $1::interval`, d)
}

// round sends what is due.
func (f *fixture) round() {
	f.t.Helper()
	_, err := f.sender.Round(f.t.Context())
	require.NoError(f.t, err)
}

// add adds an endpoint; without topics it gets all.
func (f *fixture) add(to, customer string, topics ...string) operatorapi.EndpointSecret {
	f.t.Helper()
	added, err := f.api.add(f.t.Context(), operatorapi.EndpointAdd{URL: to, CustomerID: customer, Topics: topics})
	require.NoError(f.t, err)
	return added
}

// message is a message of the stream of events.
func message(name, customer, id, payload string) *worker.Delivery {
	return &worker.Delivery{
		Subject: bus.SubjectEvent(name, customer), Data: []byte(payload), Stream: bus.StreamEvents, Deliveries: 1,
		Header: map[string][]string{bus.HeaderMsgID: {id}, "ce-time": {"2026-03-02T09:30:00Z"}},
	}
}

// publish has the consumer handle an event, and returns its id.
func (f *fixture) publish(name, customer string) string {
	f.t.Helper()
	f.events++
	id := fmt.Sprintf("%s-%d", name, f.events)
	require.NoError(f.t, f.consumer.Handle(f.t.Context(), message(name, customer, id, `{"customerId":"`+customer+`","runId":"9"}`)))
	return id
}

func (f *fixture) publishAlert(kind, customer string, cleared bool) {
	f.t.Helper()
	f.events++
	payload := fmt.Sprintf(`{"customerId":%q,"type":%q,"severity":"high","cleared":%t,"text":"What is wrong.","at":"2026-03-02T09:30:00Z"}`,
		customer, kind, cleared)
	require.NoError(f.t, f.consumer.Handle(f.t.Context(), &worker.Delivery{
		Subject: bus.SubjectAlert("high", kind, customer), Data: []byte(payload), Stream: bus.StreamAlerts, Deliveries: 1,
		Header: map[string][]string{bus.HeaderMsgID: {fmt.Sprintf("alert-%d", f.events)}},
	}))
}

// states returns how many deliveries are in each state.
func (f *fixture) states() string {
	f.t.Helper()
	return f.text(`SELECT string_agg(state || ' ' || count, ', ' ORDER BY state) FROM (SELECT state, count(*) FROM endpoint_deliveries GROUP BY state) s`)
}

// receiver is a partner's backend.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	answer func(http.ResponseWriter, *http.Request)
	posts  []received
	came   *testkit.Signal[received]
}

type received struct {
	header http.Header
	raw    []byte
	body   struct {
		Type      string         `json:"type"`
		Timestamp time.Time      `json:"timestamp"`
		Data      map[string]any `json:"data"`
	}
}

func (p received) id() string { return p.header.Get("Webhook-Id") }

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, came: testkit.NewSignal[received]()}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(answer http.ResponseWriter, request *http.Request) {
	got := received{header: request.Header}
	var err error
	if got.raw, err = io.ReadAll(request.Body); err != nil {
		r.t.Errorf("read post: %v", err)
	}
	if err := json.Unmarshal(got.raw, &got.body); err != nil {
		r.t.Errorf("a post that is not JSON: %v", err)
	}
	r.mu.Lock()
	say := r.answer
	if say == nil {
		r.posts = append(r.posts, got)
		say = status(http.StatusNoContent)
	}
	r.mu.Unlock()
	say(answer, request)
	r.came.Send(got)
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(code) }
}

// sayTooLong fails with an answer that is longer than what is kept.
func sayTooLong(answer http.ResponseWriter, _ *http.Request) {
	answer.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(answer, strings.Repeat("broken\x1b[31m\n", 1000))
}

// answers sets what the receiver answers from now on; nil accepts.
func (r *receiver) answers(say func(http.ResponseWriter, *http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = say
}

// accepted returns the types of what was accepted so far, in order.
func (r *receiver) accepted() (types []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.posts {
		types = append(types, one.body.Type)
	}
	return types
}

// ids returns the webhook-ids of what was accepted so far, each once, and how many posts that were.
func (r *receiver) ids() (distinct []string, posts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.posts {
		distinct = append(distinct, one.id())
	}
	posts = len(distinct)
	slices.Sort(distinct)
	return slices.Compact(distinct), posts
}

func (r *receiver) last() received {
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NotEmpty(r.t, r.posts)
	return r.posts[len(r.posts)-1]
}
