package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

const (
	programOnboarding = "rollcall.dev/services/onboarding"
	programBackfill   = "rollcall.dev/services/backfill"
	programPoller     = "rollcall.dev/services/poller"
	programReconciler = "rollcall.dev/services/reconciler"
	programDLQRetry   = "rollcall.dev/services/dlqretry"
	programNotifier   = "rollcall.dev/services/notifier"
	programSandbox    = "rollcall.dev/services/sandbox"
	programRollcall   = "rollcall.dev/services/rollcall"

	soon    = 30 * time.Second
	longest = 4 * time.Minute
)

// fixture is one installation: servers, database, sandbox, and the services that the test starts.
type fixture struct {
	t        *testing.T
	database string
	nats     *testkit.NATSServer
	conn     *nats.Conn
	js       jetstream.JetStream
	pool     *pgxpool.Pool
	sandbox  string // base URL
	env      map[string]string
	programs []*testkit.Process
	health   map[*testkit.Process]string // their base URLs
}

// fast removes the limits, for tests that are not about limits.
var fast = map[string]string{"VOMO_REQUESTS_PER_SECOND": "10000", "VOMO_REQUESTS_PER_MINUTE": "0"}

func newFixture(t *testing.T, settings map[string]string, options ...testkit.NATSOption) *fixture {
	t.Helper()
	return newFixtureOn(t, testkit.Database(t), settings, options...)
}

// newFixtureOn returns a fixture on a database that already has its tables.
func newFixtureOn(t *testing.T, database string, settings map[string]string, options ...testkit.NATSOption) *fixture {
	t.Helper()
	f := newEmptyFixture(t, database, settings, options...)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	claimTimeout, err := time.ParseDuration(f.env["CLAIM_TIMEOUT"])
	require.NoError(t, err)
	require.NoError(t, bus.Ensure(ctx, f.js, 1, claimTimeout))
	return f
}

// newEmptyFixture returns a fixture without tables and streams: no version has migrated it.
func newEmptyFixture(t *testing.T, database string, settings map[string]string, options ...testkit.NATSOption) *fixture {
	t.Helper()
	f := &fixture{t: t, database: database, nats: testkit.NATS(t, options...), health: map[*testkit.Process]string{}}
	f.conn = f.nats.Conn(t)
	f.js = f.nats.JetStream(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	pool, err := pgxpool.New(ctx, f.database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	f.pool = pool
	address := testkit.FreeAddr(t)
	f.sandbox = "http://" + address
	testkit.Program(t, programSandbox, testkit.ProgramConfig{Env: map[string]string{"HTTP_ADDR": address}})
	testkit.WaitReady(t, f.sandbox+"/readyz")
	f.env = map[string]string{
		"DATABASE_URL": f.database, "NATS_URL": f.nats.URL, "VOMO_BASE_URL": f.sandbox + "/vomo/v1",
		"SECRETS_URL": "dev:" + filepath.Join(t.TempDir(), "secrets.key"), "ALLOW_PRIVATE_DESTINATIONS": "true",
		"CLAIM_TIMEOUT": "30s", "LOG_LEVEL": "debug",
		"BACKFILL_TURN": "10m", // on a busy machine, a backfill must not hand back its slot in a test that is not about that
	}
	maps.Copy(f.env, settings)
	return f
}

// start runs a service as a process and waits until it is ready.
func (f *fixture) start(program string, more ...map[string]string) *testkit.Process {
	f.t.Helper()
	return f.startBinary(program, "", more...)
}

// startBinary does what start does with a program that exists already; "" means that the program is built.
func (f *fixture) startBinary(program, binary string, more ...map[string]string) *testkit.Process {
	f.t.Helper()
	address := testkit.FreeAddr(f.t)
	env := maps.Clone(f.env)
	env["HTTP_ADDR"] = address
	for _, settings := range more {
		maps.Copy(env, settings)
	}
	process := testkit.Program(f.t, program, testkit.ProgramConfig{Env: env, Binary: binary})
	f.programs = append(f.programs, process)
	f.t.Cleanup(func() { // with the last one begins the end of all
		for _, one := range f.programs {
			one.Terminate()
		}
	})
	f.health[process] = "http://" + address
	testkit.WaitReady(f.t, "http://"+address+"/readyz")
	return process
}

// organisation creates an organisation in the sandbox. Its token is <name>-token.
func (f *fixture) organisation(name string, users int) {
	f.t.Helper()
	f.control(http.MethodPost, "/control/orgs", map[string]any{"name": name, "token": name + "-token", "users": users, "seed": 7}, nil)
}

// request returns an onboarding message as an operator writes it.
func (f *fixture) request(customer string) map[string]any {
	return map[string]any{
		"customerId": customer, "vomoToken": customer + "-token", "externalSystemUrl": f.sandbox + "/crm/" + customer,
		"adminEmail": "it@" + customer + ".example",
	}
}

// onboard publishes the onboarding message.
func (f *fixture) onboard(customer string) uint64 {
	f.t.Helper()
	return f.publish(bus.SubjectOnboard(customer), f.request(customer))
}

// requestPoll requests a poll, unless the schedule's own request waits.
func (f *fixture) requestPoll(customer string) {
	f.t.Helper()
	f.requestUnlessWaiting(bus.SubjectPoll(customer), customer)
}

// requestUnlessWaiting requests a run of the customer, unless a request waits on the subject: the stream accepts no second one.
func (f *fixture) requestUnlessWaiting(subject, customer string) {
	f.t.Helper()
	_, err := f.tryPublish(subject, map[string]any{"customerId": customer})
	if waits, ok := errors.AsType[*jetstream.APIError](err); !ok || waits.ErrorCode != 10077 {
		require.NoError(f.t, err)
	}
}

func (f *fixture) publish(subject string, message any) uint64 {
	f.t.Helper()
	sequence, err := f.tryPublish(subject, message)
	require.NoError(f.t, err)
	return sequence
}

func (f *fixture) tryPublish(subject string, message any) (uint64, error) {
	f.t.Helper()
	payload, isBytes := message.([]byte)
	if !isBytes {
		var err error
		payload, err = json.Marshal(message)
		require.NoError(f.t, err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), soon)
	defer cancel()
	ack, err := f.js.Publish(ctx, subject, payload)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (f *fixture) control(method, path string, body, answer any) {
	f.t.Helper()
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(f.t, err)
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.sandbox+path, content)
	require.NoError(f.t, err)
	f.do(request, answer)
}

// do sends a request that must succeed, and decodes its answer unless that is nil.
func (f *fixture) do(request *http.Request, answer any) {
	f.t.Helper()
	response, err := (&http.Client{Timeout: longest}).Do(request)
	require.NoError(f.t, err)
	raw, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	require.NoError(f.t, response.Body.Close())
	require.Less(f.t, response.StatusCode, 300, "%s %s: %s", request.Method, request.URL.Path, raw)
	if answer != nil {
		require.NoError(f.t, json.Unmarshal(raw, answer))
	}
}

// backfill returns the customer's newest run as operators see it, or nil.
func (f *fixture) backfill(customer string) *operatorapi.Backfill {
	f.t.Helper()
	question, err := json.Marshal(operatorapi.BackfillsQuestion{CustomerID: customer})
	require.NoError(f.t, err)
	answer, err := f.conn.Request(service.APISubject("backfills", "ls"), question, soon)
	require.NoError(f.t, err)
	if answer.Header.Get("Nats-Service-Error-Code") == service.CodeNotFound {
		return nil
	}
	require.Empty(f.t, answer.Header.Get("Nats-Service-Error"))
	var reply operatorapi.BackfillsReply
	require.NoError(f.t, json.Unmarshal(answer.Data, &reply))
	return &reply.Backfills[0]
}

// await waits for a condition that depends on several processes.
func (f *fixture) await(within time.Duration, what string, holds func() bool) {
	f.t.Helper()
	require.Eventually(f.t, holds, within, 20*time.Millisecond, what)
}

func (f *fixture) awaitState(customer, state string, within time.Duration) {
	f.t.Helper()
	f.await(within, customer+" is "+state, func() bool {
		run := f.backfill(customer)
		return run != nil && run.State == state
	})
}

func (f *fixture) count(query string, arguments ...any) int {
	f.t.Helper()
	var count int
	rows, err := f.pool.Query(f.t.Context(), query, arguments...)
	require.NoError(f.t, err)
	count, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	require.NoError(f.t, err)
	return count
}

// comparison is the sandbox's comparison of both sides, record by record.
type comparison struct {
	Source, Destination, Same, Missing, Extra, Different int
}

func (f *fixture) compare(customer string) comparison {
	f.t.Helper()
	var result comparison
	f.control(http.MethodGet, "/control/compare?org="+customer+"&tenant="+customer, nil, &result)
	return result
}

func (f *fixture) requireMirrored(customer string, users int) {
	f.t.Helper()
	require.Equal(f.t, comparison{Source: users, Destination: users, Same: users}, f.compare(customer))
	require.Equal(f.t, users, f.count(`SELECT count(*) FROM user_mappings WHERE customer_id = $1`, customer))
	require.Equal(f.t, users, f.count(`SELECT count(DISTINCT record_id) FROM sync_audit WHERE customer_id = $1 AND succeeded`, customer))
	require.Equal(f.t, users, f.count(`SELECT count(*) FROM sync_audit WHERE customer_id = $1 AND succeeded`, customer), "no version is audited twice")
}

// traffic is the sandbox's count of requests for one organisation and its CRM tenant.
type traffic struct {
	VOMO map[string]struct {
		Requests          int
		MaxPerSecond      int
		MaxPer10Seconds   int
		MaxPerMinute      int
		Pages             int
		PagesFetchedAgain []struct{ Page, Times int }
		Statuses          map[string]int
	}
	CRM map[string]struct {
		Records, Writes, Refused, MaxWritesPerRecord, UnchangedWrites int
	}
}

func (f *fixture) traffic() traffic {
	f.t.Helper()
	var seen traffic
	f.control(http.MethodGet, "/control/report", nil, &seen)
	return seen
}

// events returns the messages of a stream on the matching subjects, oldest first, when all that is owed has been published.
func (f *fixture) events(stream, filter string) []jetstream.Msg {
	f.t.Helper()
	f.await(soon, "the outbox is empty", func() bool { return f.count(`SELECT count(*) FROM outbox`) == 0 })
	ctx, cancel := context.WithTimeout(f.t.Context(), soon)
	defer cancel()
	consumer, err := f.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	require.NoError(f.t, err)
	info, err := consumer.Info(ctx)
	require.NoError(f.t, err)
	var messages []jetstream.Msg
	for range info.NumPending {
		message, err := consumer.Next(jetstream.FetchMaxWait(soon))
		require.NoError(f.t, err)
		messages = append(messages, message)
	}
	return messages
}

// logs returns all log lines of all services so far.
func (f *fixture) logs() string {
	var all strings.Builder
	for _, program := range f.programs {
		all.WriteString(program.Output())
	}
	return all.String()
}
