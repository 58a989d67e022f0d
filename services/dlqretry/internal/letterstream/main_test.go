package letterstream

import (
	"context"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
	"rollcall.dev/services/dlqretry/internal/retry"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

const (
	// within bounds what a test waits for.
	within       = 30 * time.Second
	claimTimeout = 30 * time.Second
)

// fixture has the package's parts on its own database and NATS server.
type fixture struct {
	store      *store.Store
	vault      *vault.Vault
	pool       *pgxpool.Pool
	server     *testkit.NATSServer
	js         jetstream.JetStream
	publisher  *Publisher
	requests   *Requests
	advisories *Advisories

	mu      sync.Mutex
	running []micro.Ping // the services that answer
	asked   []string     // customers whose letters an operator asked for
	acks    uint64       // how many acks were reported
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{running: []micro.Ping{current("rollcall-dlqretry")}}
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
	f.server = testkit.NATS(t)
	f.js = f.server.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), f.js, 1, claimTimeout))
	f.publisher = f.newPublisher()
	asked := func(customers ...string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked = append(f.asked, customers...)
		f.publisher.Wake()
	}
	f.publisher.Asked = asked
	f.requests = &Requests{
		Store: f.store, JetStream: f.js, Asked: asked, Logger: zap.NewNop(),
		Messages: &retry.Messages{
			Store: f.store, Vault: f.vault, Publisher: &bus.Publisher{JetStream: f.js, Logger: zap.NewNop()}, Logger: zap.NewNop(), Changed: f.publisher.Wake,
		},
	}
	f.advisories = &Advisories{
		Store: f.store, JetStream: f.js, Logger: zap.NewNop(), Changed: f.publisher.Wake,
		Letters: &messageletter.Opener{Store: f.store, Vault: f.vault, StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
			return bus.StreamCreated(ctx, f.js, name)
		}},
	}
	return f
}

// newPublisher returns the publisher of one replica.
func (f *fixture) newPublisher() *Publisher {
	publisher := NewPublisher(Config{
		Store: f.store, JetStream: f.js, Logger: zap.NewNop(), Metrics: NewMetrics(prometheus.NewRegistry()), Asked: func(...string) {},
		Running: func(context.Context) ([]micro.Ping, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return append([]micro.Ping(nil), f.running...), nil
		},
	})
	publisher.retriedWithin = 0
	return publisher
}

// current and old are answers of a service of this version and of the version before.
func current(name string) micro.Ping {
	ping := old(name)
	ping.Metadata = map[string]string{service.MetadataLetters: "by-letter"}
	return ping
}

func old(name string) micro.Ping {
	return micro.Ping{ServiceIdentity: micro.ServiceIdentity{Name: name, ID: name, Version: "0.1.0"}}
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

// letter opens a record letter of acme: waiting if it is retryable, otherwise in review.
func (f *fixture) letter(t testing.TB, record string, retryable bool) uuid.UUID {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: "acme", Job: "user_sync_poll", TraceID: "00-trace-01"}, []deadletter.Rejection{
			{RecordID: record, Version: store.Version{UpdatedAt: time.Unix(1000, 0), Hash: []byte("hash")}, Code: "http_422", Retryable: retryable},
		})
	}))
	return value[uuid.UUID](t, f, `SELECT id FROM dead_letters WHERE record_id = $1 AND state <> 'settled'`, record)
}

// messageLetter opens a letter for a message that the poll stream once had.
func (f *fixture) messageLetter(t testing.TB, subject, body string, sequence uint64) uuid.UUID {
	t.Helper()
	letters := *f.advisories.Letters
	letters.Job = "test"
	created, err := bus.StreamCreated(t.Context(), f.js, bus.StreamPoll)
	require.NoError(t, err)
	require.NoError(t, letters.OpenStored(t.Context(), messageletter.Stored{
		Stream: bus.StreamPoll, Created: created, Sequence: sequence, Subject: subject, Data: []byte(body), Deliveries: 3,
	}, fault.Permanent("request_invalid", nil)))
	return value[uuid.UUID](t, f, `SELECT id FROM dead_letters WHERE origin LIKE '%/' || $1::text`, strconv.FormatUint(sequence, 10))
}

// many opens waiting letters of a customer.
func (f *fixture) many(t testing.TB, customer string, letters int) {
	t.Helper()
	f.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, source_updated_at, version_hash, original_subject, job,
			error_code, error_class, state, first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), $1, 'user', $1 || '-' || n, '2026-03-01 12:00:00Z', 'hash', 'rollcall.dlq.retry.user.' || $1, 'user_sync_poll',
			'destination_5xx', 'retryable', 'waiting', at, at + interval '0', at
		FROM generate_series(1, $2) n, rollcall_now() at`, customer, letters)
}

// openIDs returns the ids of all open letters.
func (f *fixture) openIDs(t testing.TB) []uuid.UUID {
	t.Helper()
	return value[[]uuid.UUID](t, f, `SELECT coalesce(array_agg(id), '{}') FROM dead_letters WHERE state <> 'settled'`)
}

// state returns a letter's state, or how it was settled.
func (f *fixture) state(t testing.TB, id uuid.UUID) string {
	t.Helper()
	return value[string](t, f, `SELECT coalesce(settled_how, state) FROM dead_letters WHERE id = $1`, id)
}

// ask makes these letters due, as an operator does.
func (f *fixture) ask(t testing.TB, ids ...uuid.UUID) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AskLetters(ctx, ids)
		return err
	})
}

func (f *fixture) do(t testing.TB, work func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), work))
}

// settle settles a letter as a page does.
func (f *fixture) settle(t testing.TB, ids ...uuid.UUID) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.SettleLetters(ctx, ids, "retried") })
}

// update updates the stream once.
func (f *fixture) update(t testing.TB) {
	t.Helper()
	require.NoError(t, f.publisher.update(t.Context()))
}

// start runs a loop until the test ends.
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

// work handles a consumer's messages until the test ends.
func (f *fixture) work(t testing.TB, stream, durable string, handler worker.Handler) {
	t.Helper()
	conn := f.server.Conn(t)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	consumer, err := js.Consumer(t.Context(), stream, durable)
	require.NoError(t, err)
	working := &worker.Worker{
		Name: durable, Conn: conn, Consumer: consumer, Slots: worker.FixedSlots(2), Handler: handler, Letters: NoLetters{zap.NewNop()}, Logger: zap.NewNop(),
	}
	start(t, func(ctx context.Context) { _ = working.Run(ctx) })
}

func (f *fixture) stream(t testing.TB) jetstream.Stream {
	t.Helper()
	stream, err := f.js.Stream(t.Context(), bus.StreamDLQ)
	require.NoError(t, err)
	return stream
}

// publish publishes a message, as an operator can.
func (f *fixture) publish(t testing.TB, subject string, headers map[string]string, body string) uint64 {
	t.Helper()
	message := nats.NewMsg(subject)
	message.Data = []byte(body)
	for name, text := range headers {
		message.Header.Set(name, text)
	}
	ack, err := f.js.PublishMsg(t.Context(), message)
	require.NoError(t, err)
	return ack.Sequence
}

// retrySubject and reviewSubject are the subjects of a record letter of acme.
func retrySubject(id uuid.UUID) string  { return "rollcall.dlq.retry.user.acme." + id.String() }
func reviewSubject(id uuid.UUID) string { return "rollcall.dlq.review.user.acme." + id.String() }

// messages returns the messages of ROLLCALL_DLQ by sequence.
func (f *fixture) messages(t testing.TB) map[uint64]*jetstream.RawStreamMsg {
	t.Helper()
	stream := f.stream(t)
	found := map[uint64]*jetstream.RawStreamMsg{}
	state := stream.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		if message, err := stream.GetMsg(t.Context(), sequence); err == nil {
			found[sequence] = message
		}
	}
	return found
}

// published reports whether the stream has exactly these letters, each once, on its subject and in its current revision.
func (f *fixture) published(t testing.TB, letters ...uuid.UUID) bool {
	t.Helper()
	want := map[string]bool{}
	for _, id := range letters {
		want[value[string](t, f, `SELECT format('rollcall.dlq.%s.%s.%s.%s %s', CASE state WHEN 'waiting' THEN 'retry' ELSE 'review' END,
				kind, customer_id, id, revision)
			FROM dead_letters WHERE id = $1`, id)] = true
	}
	messages := f.messages(t)
	for _, message := range messages {
		if !want[message.Subject+" "+message.Header.Get(bus.HeaderLetterRevision)] {
			return false
		}
	}
	return len(messages) == len(want)
}

// requirePublished waits until the stream has exactly these letters.
func (f *fixture) requirePublished(t testing.TB, letters ...uuid.UUID) {
	t.Helper()
	require.Eventually(t, func() bool { return f.published(t, letters...) }, within, 20*time.Millisecond)
}
