package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

// timeout limits each wait of a test. Working code needs far less.
const timeout = 60 * time.Second

const adminOfAcme = "it@acme.example"

// fixture is an installation with a notifier, whose clock a test may advance.
type fixture struct {
	*store.Store
	t           *testing.T
	url         string
	nats        *testkit.NATSServer
	js          jetstream.JetStream
	settings    config.Config
	roots       *x509.CertPool
	logger      *zap.Logger
	raisedTries int // of the notifier; 0: its own
}

// newFixture takes settings as lines of the environment.
func newFixture(t *testing.T, settings ...string) *fixture {
	t.Helper()
	f := &fixture{t: t, url: testkit.Database(t), nats: testkit.NATS(t), logger: zaptest.NewLogger(t)}
	f.js = f.nats.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), f.js, 1, 30*time.Second))
	f.exec(`CREATE TABLE test_clock (ahead interval NOT NULL)`)
	f.exec(`INSERT INTO test_clock VALUES ('0')`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	var err error
	f.Store, err = store.Open(t.Context(), f.url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	f.settings, err = config.Load(append([]string{
		"DATABASE_URL=" + f.url, "NATS_URL=" + f.nats.URL, "SECRETS_URL=dev:" + t.TempDir() + "/secrets.key",
	}, settings...))
	require.NoError(t, err)
	return f
}

// start runs a notifier until the test ends or calls stop.
func (f *fixture) start() (stop func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- service.Serve(ctx, "notifier", f.settings, f.logger, func(ctx context.Context, s *service.Service) error {
			n, err := newNotifier(s.Config)
			if err != nil {
				return err
			}
			if n.mailer != nil {
				n.mailer.roots = f.roots
			}
			n.endpointsEvery = 20 * time.Millisecond
			n.heldCheckEvery, n.summaryEvery = time.Millisecond, 20*time.Millisecond // the test sets the clock, so check often
			if f.raisedTries > 0 {
				n.raisedTries = f.raisedTries
			}
			close(ready)
			return serve(ctx, s, n)
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		require.NoError(f.t, err)
		require.Fail(f.t, "the notifier did not start")
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(f.t, <-ended)
	}
	f.t.Cleanup(stop)
	return stop
}

func (f *fixture) exec(statement string, args ...any) {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.url)
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, conn.Close(context.WithoutCancel(f.t.Context()))) }()
	_, err = conn.Exec(f.t.Context(), statement, args...)
	require.NoError(f.t, err)
}

// queryValue returns the one value of a statement.
func queryValue[T any](f *fixture, statement string, args ...any) T {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.url)
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, conn.Close(context.WithoutCancel(f.t.Context()))) }()
	var v T
	require.NoError(f.t, conn.QueryRow(f.t.Context(), statement, args...).Scan(&v))
	return v
}

func (f *fixture) advance(d time.Duration) {
	f.t.Helper()
	f.exec(`UPDATE test_clock SET ahead = ahead + $1::interval`, d)
}

// addCustomer adds a customer whose backfill is complete.
func (f *fixture) addCustomer(id string) {
	f.t.Helper()
	//nolint:dupword // columns of the same moment
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, admin_email, onboarded_at, backfill_completed_at,
		active_since, updated_at) SELECT $1, 'https://crm.example', '{"kind":"rest"}', $2, n, n, n, n FROM rollcall_now() n`,
		id, "it@"+id+".example")
}

func (f *fixture) raise(customer, kind string) {
	f.t.Helper()
	require.NoError(f.t, f.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor(customer, kind))
	}))
}

func (f *fixture) clear(customer, kind string) {
	f.t.Helper()
	require.NoError(f.t, f.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return event.Clear(ctx, tx, customer, kind, "It works again.")
	}))
}

// publish publishes a message by hand.
func (f *fixture) publish(subject, id, payload string) {
	f.t.Helper()
	_, err := f.js.Publish(f.t.Context(), subject, []byte(payload), jetstream.WithMsgID(id))
	require.NoError(f.t, err)
}

// relay publishes the messages of the outbox, as other services do while no notifier runs.
func (f *fixture) relay() {
	f.t.Helper()
	for queryValue[int](f, `SELECT count(*) FROM outbox`) > 0 {
		const first = ` FROM outbox ORDER BY id LIMIT 1`
		id := queryValue[string](f, `SELECT msg_id`+first)
		f.publish(queryValue[string](f, `SELECT subject`+first), id, queryValue[string](f, `SELECT convert_from(payload, 'UTF8')`+first))
		f.exec(`DELETE FROM outbox WHERE msg_id = $1`, id)
	}
}

// awaitHandled waits until every message of a stream has been handled.
func (f *fixture) awaitHandled(stream string) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		depth, err := f.OutboxDepth(f.t.Context()) // first: what leaves the outbox after that is in the stream
		require.NoError(f.t, err)
		consumer, err := f.js.Consumer(f.t.Context(), stream, bus.DurableNotifier)
		require.NoError(f.t, err)
		info, err := consumer.Info(f.t.Context())
		require.NoError(f.t, err)
		return depth == 0 && info.NumPending == 0 && info.NumAckPending == 0 && info.AckFloor.Stream >= f.lastSequence(stream, info.Config)
	}, timeout, 20*time.Millisecond)
}

// lastSequence returns the sequence of the stream's last message for the consumer. The server acknowledges a message before
// its consumers have received it.
func (f *fixture) lastSequence(name string, of jetstream.ConsumerConfig) (sequence uint64) {
	stream, err := f.js.Stream(f.t.Context(), name)
	require.NoError(f.t, err)
	filters := of.FilterSubjects
	if len(filters) == 0 {
		filters = []string{cmp.Or(of.FilterSubject, ">")}
	}
	for _, filter := range filters {
		message, err := stream.GetLastMsgForSubject(f.t.Context(), filter)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		require.NoError(f.t, err)
		sequence = max(sequence, message.Sequence)
	}
	return sequence
}

// notificationOutcome returns the noted outcome of a message on a channel type.
func (f *fixture) notificationOutcome(message, channel string) string {
	f.t.Helper()
	return queryValue[string](f, `SELECT coalesce(max(outcome || coalesce(' ' || error_code, '')), 'none') FROM notifications
		WHERE message_id = $1 AND split_part(channel, ':', 1) = $2`, message, channel)
}

// newCertificate returns a certificate for 127.0.0.1 and a pool that trusts it.
func newCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.TLS.Certificates[0], roots
}
