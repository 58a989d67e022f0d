package letterapi

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/services/dlqretry/internal/retry"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// now is the time of the fixture's clock.
var now = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)

// fixture serves the API with its own database and NATS server. It has the customers acme and globex.
type fixture struct {
	t       *testing.T
	api     *API
	pool    *pgxpool.Pool
	nats    *testkit.NATSServer
	conn    *nats.Conn
	logs    *observer.ObservedLogs
	woken   []string // customers whose letters were asked for
	elapsed time.Duration
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, nats: testkit.NATS(t)}
	database := testkit.Database(t)
	from, err := store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '2026-03-02T09:30:00Z' $$`)
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		SELECT c, 'https://crm.example', '{"kind":"rest"}', rollcall_now(), rollcall_now() FROM unnest('{acme,globex}'::text[]) c`)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	core, logs := observer.New(zapcore.InfoLevel)
	f.logs = logs
	js := f.nats.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, time.Minute))
	s := &service.Service{
		Logger: zap.New(core), Conn: f.nats.Conn(t), JetStream: js, Store: from, Vault: &vault.Vault{Keeper: keeper, Keys: from},
	}
	s.Micro, err = micro.AddService(s.Conn, micro.Config{Name: "dlqretry", Version: "0.0.1"})
	require.NoError(t, err)
	f.api = New(s, &retry.Messages{
		Store: from, Vault: s.Vault, Publisher: &bus.Publisher{JetStream: js, Logger: zap.NewNop()}, Logger: zap.NewNop(), Changed: func() {},
	}, func(customers ...string) { f.woken = append(f.woken, customers...) })
	// Time passes only while the API waits.
	f.api.clock = func() time.Time { return now.Add(f.elapsed) }
	f.api.pause = func(ctx context.Context) error {
		f.elapsed += time.Second
		return ctx.Err()
	}
	require.NoError(t, f.api.Answer(s))
	f.conn = f.nats.Conn(t)
	return f
}

func (f *fixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

func column[T any](f *fixture, query string, arguments ...any) []T {
	f.t.Helper()
	rows, err := f.pool.Query(f.t.Context(), query, arguments...)
	require.NoError(f.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(f.t, err)
	return got
}

// record opens a record letter that failed first so long ago. Its id begins with its number, eight digits wide.
func (f *fixture) record(number int, customer string, ago time.Duration, more ...string) uuid.UUID {
	f.t.Helper()
	id := uuid.MustParse(fmt.Sprintf("%08d-0000-4000-8000-000000000000", number))
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, source_updated_at, version_hash, original_subject, job, trace_id,
			error_code, error_class, state, first_failed_at, last_failed_at)
		VALUES ($1, $2, 'user', $3, '2026-03-01T12:00:00Z', 'h', 'rollcall.dlq.retry.user.' || $2, 'user_sync_poll', '00-trace-01',
			'http_422', 'permanent', 'review', $4, $4)`, id, customer, fmt.Sprintf("82%d", number), now.Add(-ago))
	for _, set := range more {
		f.exec(`UPDATE dead_letters SET `+set+` WHERE id = $1`, id)
	}
	return id
}

const waiting = `state = 'waiting', error_class = 'retryable', error_code = 'destination_5xx', next_attempt_at = rollcall_now() + interval '4 minutes'`

const settled = `state = 'settled', settled_at = rollcall_now(), settled_how = 'retried'`

// message opens a letter for a message that a publisher published to onboarding.
func (f *fixture) message(number int, customer string, ago time.Duration, body string) uuid.UUID {
	f.t.Helper()
	id := uuid.MustParse(fmt.Sprintf("%08d-0000-4000-8000-000000000000", number))
	seal := func() ([]byte, error) {
		return f.api.vault.Seal(f.t.Context(), customer, messageletter.PurposePayload, []byte(body))
	}
	if customer == "_unknown" {
		seal = func() ([]byte, error) {
			return f.api.vault.SealForInstallation(f.t.Context(), messageletter.PurposePayload, []byte(body))
		}
	}
	sealed, err := seal()
	require.NoError(f.t, err)
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, payload_sealed, original_subject, origin, job, error_code, error_class, state,
			first_failed_at, last_failed_at)
		VALUES ($1::uuid, $2, 'message', $3, 'rollcall.onboarding.request.' || $2, $1::uuid::text, 'onboarding', 'too_many_deliveries', 'permanent',
			'review', $4, $4)`,
		id, customer, sealed, now.Add(-ago))
	return id
}

// ask asks over NATS, as an operator does; code is that of a refusal, whose text the answer is then.
func ask[Reply any](f *fixture, verb string, question any) (reply Reply, code, text string) {
	f.t.Helper()
	return askOf[Reply](f, "letters", verb, question)
}

func askOf[Reply any](f *fixture, noun, verb string, question any) (reply Reply, code, text string) {
	f.t.Helper()
	data, err := json.Marshal(question)
	require.NoError(f.t, err)
	answer, err := f.conn.Request(service.APISubject(noun, verb), data, 20*time.Second)
	require.NoError(f.t, err)
	require.Less(f.t, len(answer.Data), 256<<10)
	if code = answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return reply, code, answer.Header.Get(micro.ErrorHeader) + string(answer.Data)
	}
	require.NoError(f.t, json.Unmarshal(answer.Data, &reply))
	return reply, "", ""
}

func answered[Reply any](f *fixture, verb string, question any) Reply {
	f.t.Helper()
	reply, code, text := ask[Reply](f, verb, question)
	require.Empty(f.t, code, text)
	return reply
}

// listed are the numbers of the letters that a filter means, in their order.
func (f *fixture) listed(filter operatorapi.LettersFilter) []string {
	f.t.Helper()
	return numbers(answered[operatorapi.LettersReply](f, "ls", operatorapi.LettersQuestion{LettersFilter: filter}).Letters)
}

func numbers(letters []operatorapi.Letter) []string {
	got := []string{}
	for _, letter := range letters {
		got = append(got, strings.TrimLeft(letter.ID[:8], "0"))
	}
	return got
}

// all is a command for all that a filter means.
func all(filter operatorapi.LettersFilter) operatorapi.LettersCommand {
	return operatorapi.LettersCommand{LettersFilter: filter, AllMatching: true}
}

func reasons(left []operatorapi.LetterLeft) map[string]string {
	got := map[string]string{}
	for _, one := range left {
		got[strings.TrimLeft(one.ID[:8], "0")] = one.Reason
	}
	return got
}
