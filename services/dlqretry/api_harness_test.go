package main

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
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

// officeNow is where the office's clock stands.
var officeNow = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)

// office is where operators ask for letters, on a database and a NATS of its own, with customers acme and globex.
type office struct {
	t       *testing.T
	desk    *letterDesk
	pool    *pgxpool.Pool
	nats    *testkit.NATSServer
	conn    *nats.Conn
	logs    *observer.ObservedLogs
	woken   []string // customers whose letters were asked for
	elapsed time.Duration
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, nats: testkit.NATS(t)}
	database := testkit.Database(t)
	from, err := store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	o.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(o.pool.Close)
	o.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '2026-03-02T09:30:00Z' $$`)
	o.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		SELECT c, 'https://crm.example', '{"kind":"rest"}', rollcall_now(), rollcall_now() FROM unnest('{acme,globex}'::text[]) c`)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	core, logs := observer.New(zapcore.InfoLevel)
	o.logs = logs
	js := o.nats.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, time.Minute))
	s := &service.Service{
		Logger: zap.New(core), Conn: o.nats.Conn(t), JetStream: js, Store: from, Vault: &vault.Vault{Keeper: keeper, Keys: from},
	}
	s.Micro, err = micro.AddService(s.Conn, micro.Config{Name: "dlqretry", Version: "0.0.1"})
	require.NoError(t, err)
	o.desk = newLetterDesk(s, &redriver{
		store: from, vault: s.Vault, publisher: &bus.Publisher{JetStream: js, Logger: zap.NewNop()}, logger: zap.NewNop(),
		asked: func(customers ...string) { o.woken = append(o.woken, customers...) },
	})
	// Time passes only where somebody waits.
	o.desk.clock = func() time.Time { return officeNow.Add(o.elapsed) }
	o.desk.pause = func(ctx context.Context) error {
		o.elapsed += time.Second
		return ctx.Err()
	}
	require.NoError(t, answerLetters(s, o.desk))
	o.conn = o.nats.Conn(t)
	return o
}

func (o *office) exec(statement string, arguments ...any) {
	o.t.Helper()
	_, err := o.pool.Exec(o.t.Context(), statement, arguments...)
	require.NoError(o.t, err)
}

func column[T any](o *office, query string, arguments ...any) []T {
	o.t.Helper()
	rows, err := o.pool.Query(o.t.Context(), query, arguments...)
	require.NoError(o.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(o.t, err)
	return got
}

// record opens a record letter that failed first so long ago. Its id begins with its number, eight digits wide.
func (o *office) record(number int, customer string, ago time.Duration, more ...string) uuid.UUID {
	o.t.Helper()
	id := uuid.MustParse(fmt.Sprintf("%08d-0000-4000-8000-000000000000", number))
	o.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, source_updated_at, version_hash, original_subject, job, trace_id,
			error_code, error_class, state, first_failed_at, last_failed_at)
		VALUES ($1, $2, 'user', $3, '2026-03-01T12:00:00Z', 'h', 'rollcall.dlq.retry.user.' || $2, 'user_sync_poll', '00-trace-01',
			'http_422', 'permanent', 'review', $4, $4)`, id, customer, fmt.Sprintf("82%d", number), officeNow.Add(-ago))
	for _, set := range more {
		o.exec(`UPDATE dead_letters SET `+set+` WHERE id = $1`, id)
	}
	return id
}

const waiting = `state = 'waiting', error_class = 'retryable', error_code = 'destination_5xx', next_attempt_at = rollcall_now() + interval '4 minutes'`

const settled = `state = 'settled', settled_at = rollcall_now(), settled_how = 'retried'`

// message opens a letter for a message that somebody published to onboarding.
func (o *office) message(number int, customer string, ago time.Duration, body string) uuid.UUID {
	o.t.Helper()
	id := uuid.MustParse(fmt.Sprintf("%08d-0000-4000-8000-000000000000", number))
	seal := func() ([]byte, error) {
		return o.desk.vault.Seal(o.t.Context(), customer, deadletter.PurposePayload, []byte(body))
	}
	if customer == "_unknown" {
		seal = func() ([]byte, error) {
			return o.desk.vault.SealForInstallation(o.t.Context(), deadletter.PurposePayload, []byte(body))
		}
	}
	sealed, err := seal()
	require.NoError(o.t, err)
	o.exec(`INSERT INTO dead_letters (id, customer_id, kind, payload_sealed, original_subject, origin, job, error_code, error_class, state,
			first_failed_at, last_failed_at)
		VALUES ($1::uuid, $2, 'message', $3, 'rollcall.onboarding.request.' || $2, $1::uuid::text, 'onboarding', 'too_many_deliveries', 'permanent',
			'review', $4, $4)`,
		id, customer, sealed, officeNow.Add(-ago))
	return id
}

// ask asks over NATS, as an operator does; code is that of a refusal, whose text the answer is then.
func ask[Reply any](o *office, verb string, question any) (reply Reply, code, text string) {
	o.t.Helper()
	data, err := json.Marshal(question)
	require.NoError(o.t, err)
	answer, err := o.conn.Request(service.APISubject("letters", verb), data, 20*time.Second)
	require.NoError(o.t, err)
	require.Less(o.t, len(answer.Data), 256<<10)
	if code = answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return reply, code, answer.Header.Get(micro.ErrorHeader) + string(answer.Data)
	}
	require.NoError(o.t, json.Unmarshal(answer.Data, &reply))
	return reply, "", ""
}

func answered[Reply any](o *office, verb string, question any) Reply {
	o.t.Helper()
	reply, code, text := ask[Reply](o, verb, question)
	require.Empty(o.t, code, text)
	return reply
}

// listed are the numbers of the letters that a filter means, in their order.
func (o *office) listed(filter report.LettersFilter) []string {
	o.t.Helper()
	return numbers(answered[report.LettersReply](o, "ls", report.LettersQuestion{LettersFilter: filter}).Letters)
}

func numbers(letters []report.Letter) []string {
	got := []string{}
	for _, letter := range letters {
		got = append(got, strings.TrimLeft(letter.ID[:8], "0"))
	}
	return got
}

// all is a command for all that a filter means.
func all(filter report.LettersFilter) report.LettersCommand {
	return report.LettersCommand{LettersFilter: filter, AllMatching: true}
}

func reasons(left []report.LetterLeft) map[string]string {
	got := map[string]string{}
	for _, one := range left {
		got[strings.TrimLeft(one.ID[:8], "0")] = one.Reason
	}
	return got
}
