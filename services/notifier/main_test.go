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

func TestMain(m *testing.M) { testkit.Main(m) }

// within bounds what a test waits for; nothing comes near it unless it is broken.
const within = 60 * time.Second

const adminOfAcme = "it@acme.example"

// house is an installation with a notifier, whose clock a test may put forward.
type house struct {
	*store.Store
	t        *testing.T
	url      string
	nats     *testkit.NATSServer
	js       jetstream.JetStream
	settings config.Config
	roots    *x509.CertPool
	log      *zap.Logger
	patience int // of the notifier; 0: its own
}

// newHouse has the settings that are given, as lines of the environment.
func newHouse(t *testing.T, settings ...string) *house {
	t.Helper()
	h := &house{t: t, url: testkit.Database(t), nats: testkit.NATS(t), log: zaptest.NewLogger(t)}
	h.js = h.nats.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), h.js, 1, 30*time.Second))
	h.exec(`CREATE TABLE test_clock (ahead interval NOT NULL)`)
	h.exec(`INSERT INTO test_clock VALUES ('0')`)
	h.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	var err error
	h.Store, err = store.Open(t.Context(), h.url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(h.Close)
	h.settings, err = config.Load(append([]string{
		"DATABASE_URL=" + h.url, "NATS_URL=" + h.nats.URL, "SECRETS_URL=dev:" + t.TempDir() + "/secrets.key",
	}, settings...))
	require.NoError(t, err)
	return h
}

// start runs a notifier until the test ends, or until it is stopped.
func (h *house) start() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- service.Serve(ctx, "notifier", h.settings, h.log, func(ctx context.Context, s *service.Service) error {
			told, err := open(s.Config)
			if err != nil {
				return err
			}
			if told.mailer != nil {
				told.mailer.roots = h.roots
			}
			told.heldFor, told.gatherEvery = time.Millisecond, 20*time.Millisecond // the clock is the test's: look as often as may be
			if h.patience > 0 {
				told.patience = h.patience
			}
			close(ready)
			return serve(ctx, s, told)
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		require.NoError(h.t, err)
		require.Fail(h.t, "the notifier did not start")
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(h.t, <-ended)
	}
	h.t.Cleanup(stop)
	return stop
}

func (h *house) exec(statement string, args ...any) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.url)
	require.NoError(h.t, err)
	defer func() { require.NoError(h.t, conn.Close(context.WithoutCancel(h.t.Context()))) }()
	_, err = conn.Exec(h.t.Context(), statement, args...)
	require.NoError(h.t, err)
}

// value is the one value that a statement returns.
func value[T any](h *house, statement string, args ...any) T {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.url)
	require.NoError(h.t, err)
	defer func() { require.NoError(h.t, conn.Close(context.WithoutCancel(h.t.Context()))) }()
	var v T
	require.NoError(h.t, conn.QueryRow(h.t.Context(), statement, args...).Scan(&v))
	return v
}

func (h *house) advance(d time.Duration) {
	h.t.Helper()
	h.exec(`UPDATE test_clock SET ahead = ahead + $1::interval`, d)
}

// customer is one who is mirrored.
func (h *house) customer(id string) {
	h.t.Helper()
	//nolint:dupword // columns of the same moment
	h.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, admin_email, onboarded_at, backfill_completed_at,
		active_since, updated_at) SELECT $1, 'https://crm.example', '{"kind":"rest"}', $2, n, n, n, n FROM rollcall_now() n`,
		id, "it@"+id+".example")
}

func (h *house) raise(customer, kind string) {
	h.t.Helper()
	require.NoError(h.t, h.InTx(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor(customer, kind))
	}))
}

func (h *house) clear(customer, kind string) {
	h.t.Helper()
	require.NoError(h.t, h.InTx(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return event.Clear(ctx, tx, customer, kind, "It works again.")
	}))
}

// publish puts a message on the bus as a stranger would.
func (h *house) publish(subject, id, payload string) {
	h.t.Helper()
	_, err := h.js.Publish(h.t.Context(), subject, []byte(payload), jetstream.WithMsgID(id))
	require.NoError(h.t, err)
}

// relay publishes what waits in the outbox, as another service does while no notifier runs.
func (h *house) relay() {
	h.t.Helper()
	for value[int](h, `SELECT count(*) FROM outbox`) > 0 {
		const first = ` FROM outbox ORDER BY id LIMIT 1`
		id := value[string](h, `SELECT msg_id`+first)
		h.publish(value[string](h, `SELECT subject`+first), id, value[string](h, `SELECT convert_from(payload, 'UTF8')`+first))
		h.exec(`DELETE FROM outbox WHERE msg_id = $1`, id)
	}
}

// settled waits until every message of a stream has been handled.
func (h *house) settled(stream string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		depth, err := h.OutboxDepth(h.t.Context()) // first: what leaves the outbox after that is in the stream
		require.NoError(h.t, err)
		consumer, err := h.js.Consumer(h.t.Context(), stream, bus.DurableNotifier)
		require.NoError(h.t, err)
		info, err := consumer.Info(h.t.Context())
		require.NoError(h.t, err)
		return depth == 0 && info.NumPending == 0 && info.NumAckPending == 0 && info.AckFloor.Stream >= h.last(stream, info.Config)
	}, within, 20*time.Millisecond)
}

// last is the sequence of the last message of a stream that is the consumer's: the server acknowledges a message before
// its consumers have heard of it.
func (h *house) last(name string, of jetstream.ConsumerConfig) (sequence uint64) {
	stream, err := h.js.Stream(h.t.Context(), name)
	require.NoError(h.t, err)
	filters := of.FilterSubjects
	if len(filters) == 0 {
		filters = []string{cmp.Or(of.FilterSubject, ">")}
	}
	for _, filter := range filters {
		message, err := stream.GetLastMsgForSubject(h.t.Context(), filter)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		require.NoError(h.t, err)
		sequence = max(sequence, message.Sequence)
	}
	return sequence
}

// outcomes are the notes of a message, by channel.
func (h *house) outcome(message, channel string) string {
	h.t.Helper()
	return value[string](h, `SELECT coalesce(max(outcome || coalesce(' ' || error_code, '')), 'none') FROM notifications
		WHERE message_id = $1 AND split_part(channel, ':', 1) = $2`, message, channel)
}

// certificate is one for 127.0.0.1, and who trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.TLS.Certificates[0], roots
}
