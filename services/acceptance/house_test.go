package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
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
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) {
	// These tests wait more than they compute: for claims to run out, for limits, for outages to end.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err) // there is no test yet that could fail
	}
	testkit.Main(m)
}

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

// house is one installation of its own: servers, database, sandbox, and the services as they are started.
type house struct {
	t        *testing.T
	database string
	nats     *testkit.NATSServer
	conn     *nats.Conn
	js       jetstream.JetStream
	pool     *pgxpool.Pool
	sandbox  string // base URL
	env      map[string]string
	programs []*testkit.Process
}

// fast takes the limits away, for tests that are not about them.
var fast = map[string]string{"VOMO_REQUESTS_PER_SECOND": "10000", "VOMO_REQUESTS_PER_MINUTE": "0"}

func newHouse(t *testing.T, settings map[string]string, options ...testkit.NATSOption) *house {
	t.Helper()
	return newHouseOn(t, testkit.Database(t), settings, options...)
}

// newHouseOn is a house on a database that has its tables already.
func newHouseOn(t *testing.T, database string, settings map[string]string, options ...testkit.NATSOption) *house {
	t.Helper()
	h := &house{t: t, database: database, nats: testkit.NATS(t, options...)}
	h.conn = h.nats.Conn(t)
	h.js = h.nats.JetStream(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	pool, err := pgxpool.New(ctx, h.database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	h.pool = pool
	address := testkit.FreeAddr(t)
	h.sandbox = "http://" + address
	testkit.Program(t, programSandbox, testkit.ProgramConfig{Env: map[string]string{"HTTP_ADDR": address}})
	testkit.WaitReady(t, h.sandbox+"/readyz")
	h.env = map[string]string{
		"DATABASE_URL": h.database, "NATS_URL": h.nats.URL, "VOMO_BASE_URL": h.sandbox + "/vomo/v1",
		"SECRETS_URL": "dev:" + filepath.Join(t.TempDir(), "secrets.key"), "ALLOW_PRIVATE_DESTINATIONS": "true",
		"CLAIM_TIMEOUT": "30s", "LOG_LEVEL": "debug",
		"BACKFILL_TURN": "10m", // a busy machine must not bring a hand-over into a test that is not about it
	}
	maps.Copy(h.env, settings)
	claimTimeout, err := time.ParseDuration(h.env["CLAIM_TIMEOUT"])
	require.NoError(t, err)
	require.NoError(t, bus.Ensure(ctx, h.js, 1, claimTimeout))
	return h
}

// start runs a service as a process and waits until it is ready.
func (h *house) start(program string, more ...map[string]string) *testkit.Process {
	h.t.Helper()
	address := testkit.FreeAddr(h.t)
	env := maps.Clone(h.env)
	env["HTTP_ADDR"] = address
	for _, settings := range more {
		maps.Copy(env, settings)
	}
	process := testkit.Program(h.t, program, testkit.ProgramConfig{Env: env})
	h.programs = append(h.programs, process)
	testkit.WaitReady(h.t, "http://"+address+"/readyz")
	return process
}

// organisation makes one in the sandbox; its token is <name>-token.
func (h *house) organisation(name string, users int) {
	h.t.Helper()
	h.control(http.MethodPost, "/control/orgs", map[string]any{"name": name, "token": name + "-token", "users": users, "seed": 7}, nil)
}

// request is an onboarding message as an operator writes it.
func (h *house) request(customer string) map[string]any {
	return map[string]any{
		"customerId": customer, "vomoToken": customer + "-token", "externalSystemUrl": h.sandbox + "/crm/" + customer,
		"adminEmail": "it@" + customer + ".example",
	}
}

// onboard publishes the plain message.
func (h *house) onboard(customer string) uint64 {
	h.t.Helper()
	return h.publish(bus.SubjectOnboard(customer), h.request(customer))
}

func (h *house) publish(subject string, message any) uint64 {
	h.t.Helper()
	payload, isBytes := message.([]byte)
	if !isBytes {
		var err error
		payload, err = json.Marshal(message)
		require.NoError(h.t, err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), soon)
	defer cancel()
	ack, err := h.js.Publish(ctx, subject, payload)
	require.NoError(h.t, err)
	return ack.Sequence
}

func (h *house) control(method, path string, body, answer any) {
	h.t.Helper()
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(h.t, err)
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.sandbox+path, content)
	require.NoError(h.t, err)
	response, err := (&http.Client{Timeout: longest}).Do(request)
	require.NoError(h.t, err)
	raw, err := io.ReadAll(response.Body)
	require.NoError(h.t, err)
	require.NoError(h.t, response.Body.Close())
	require.Less(h.t, response.StatusCode, 300, "%s %s: %s", method, path, raw)
	if answer != nil {
		require.NoError(h.t, json.Unmarshal(raw, answer))
	}
}

// backfill is the customer's newest run as operators see it; nil before there is one.
func (h *house) backfill(customer string) *report.Backfill {
	h.t.Helper()
	question, err := json.Marshal(report.BackfillsQuestion{CustomerID: customer})
	require.NoError(h.t, err)
	answer, err := h.conn.Request(service.APISubject("backfills", "ls"), question, soon)
	require.NoError(h.t, err)
	if answer.Header.Get("Nats-Service-Error-Code") == service.CodeNotFound {
		return nil
	}
	require.Empty(h.t, answer.Header.Get("Nats-Service-Error"))
	var reply report.BackfillsReply
	require.NoError(h.t, json.Unmarshal(answer.Data, &reply))
	return &reply.Backfills[0]
}

// until waits for a condition that several processes bring about.
func (h *house) until(within time.Duration, what string, holds func() bool) {
	h.t.Helper()
	require.Eventually(h.t, holds, within, 20*time.Millisecond, what)
}

func (h *house) untilState(customer, state string, within time.Duration) {
	h.t.Helper()
	h.until(within, customer+" is "+state, func() bool {
		run := h.backfill(customer)
		return run != nil && run.State == state
	})
}

func (h *house) count(query string, arguments ...any) int {
	h.t.Helper()
	var count int
	rows, err := h.pool.Query(h.t.Context(), query, arguments...)
	require.NoError(h.t, err)
	count, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	require.NoError(h.t, err)
	return count
}

// comparison is the sandbox's own, record by record.
type comparison struct {
	Source, Destination, Same, Missing, Extra, Different int
}

func (h *house) compare(customer string) comparison {
	h.t.Helper()
	var result comparison
	h.control(http.MethodGet, "/control/compare?org="+customer+"&tenant="+customer, nil, &result)
	return result
}

func (h *house) requireMirrored(customer string, users int) {
	h.t.Helper()
	require.Equal(h.t, comparison{Source: users, Destination: users, Same: users}, h.compare(customer))
	require.Equal(h.t, users, h.count(`SELECT count(*) FROM user_mappings WHERE customer_id = $1`, customer))
	require.Equal(h.t, users, h.count(`SELECT count(DISTINCT record_id) FROM sync_audit WHERE customer_id = $1 AND succeeded`, customer))
	require.Equal(h.t, users, h.count(`SELECT count(*) FROM sync_audit WHERE customer_id = $1 AND succeeded`, customer), "no version is audited twice")
}

// traffic is what the sandbox saw of one organisation, and of its tenant at the CRM.
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

func (h *house) traffic() traffic {
	h.t.Helper()
	var seen traffic
	h.control(http.MethodGet, "/control/report", nil, &seen)
	return seen
}

// events are the payloads on the subjects of ROLLCALL_EVENTS that match, oldest first.
func (h *house) events(stream, filter string) []jetstream.Msg {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), soon)
	defer cancel()
	consumer, err := h.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	require.NoError(h.t, err)
	info, err := consumer.Info(ctx)
	require.NoError(h.t, err)
	var messages []jetstream.Msg
	for range info.NumPending {
		message, err := consumer.Next(jetstream.FetchMaxWait(soon))
		require.NoError(h.t, err)
		messages = append(messages, message)
	}
	return messages
}

// logs are all lines of all services so far.
func (h *house) logs() string {
	var all strings.Builder
	for _, program := range h.programs {
		all.WriteString(program.Output())
	}
	return all.String()
}
