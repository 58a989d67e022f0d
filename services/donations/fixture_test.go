package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/pkg/worker"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

const (
	customer = "acme"
	key      = "v_sandbox-acme-key"
)

// streamCreated is when the stream of the messages was created.
var streamCreated = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

// fixture is the service's parts before the sandbox's Virtuous, with its own database. The clocks of both are simulated.
type fixture struct {
	store     *store.Store
	vault     *vault.Vault
	pool      *pgxpool.Pool
	capturer  *capturer
	projects  *projects
	registry  *prometheus.Registry
	submitter *submitter
	rounds    *round.Runner
	sandbox   string // base URL
	sequence  uint64
}

func newFixture(t *testing.T, settings string) *fixture {
	t.Helper()
	f := &fixture{}
	address := testkit.FreeAddr(t)
	f.sandbox = "http://" + address
	testkit.Program(t, "rollcall.dev/services/sandbox", testkit.ProgramConfig{
		Env: map[string]string{"HTTP_ADDR": address}, Args: []string{"-virtuous", customer + ":" + settings},
	})
	testkit.WaitReady(t, f.sandbox+"/readyz")
	// With the documented quota each request would wait for most of a second.
	f.control(t, http.MethodPut, "/virtuous/orgs/"+customer+"/quota", map[string]any{"limit": 1_000_000_000})
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
	toVirtuous := virtuous.NewTransport(4)
	t.Cleanup(toVirtuous.CloseIdleConnections)
	f.registry = prometheus.NewRegistry()
	f.projects = &projects{store: f.store, logger: zap.NewNop(), metrics: newMetrics(f.registry), mode: config.ProjectCheckRefuse}
	f.submitter = &submitter{
		projects: f.projects, metrics: f.projects.metrics,
		store: f.store, vault: f.vault, sleep: func(context.Context, time.Duration) error { return nil },
		inbound: &inbound.Applier{Store: f.store, Vault: f.vault, Logger: zap.NewNop(), TransactionPurpose: purposeTransaction},
		virtuous: &connector.Virtuous{
			Store: f.store, Vault: f.vault, Logger: zap.NewNop(), BaseURL: f.sandbox + "/virtuous", Transport: toVirtuous, Timeout: 10 * time.Second,
			Hourly: budget.Hourly{PerHour: 1e7, Share: 1},
		},
	}
	f.rounds = round.New(round.Config{
		Store: f.store, Logger: zap.NewNop(), Holder: "donations-1", LeaseFor: 30 * time.Second, Slots: 4, Kind: f.submitter.kind(),
	})
	f.capturer = &capturer{
		store: f.store, vault: f.vault, logger: zap.NewNop(), wake: func() {}, source: "AcmeGive",
		projects: f.projects, metrics: f.projects.metrics, virtuous: f.submitter.virtuous,
		customers: &intake.Customers{
			Store: f.store, Logger: zap.NewNop(), Count: f.projects.metrics.message,
			Letters: &messageletter.Opener{
				Store: f.store, Vault: f.vault, Job: jobCapture,
				StreamCreated: func(context.Context, string) (time.Time, error) { return streamCreated, nil },
			},
		},
	}
	f.exec(t, `CREATE TABLE test_clock AS SELECT interval '0' AS ahead`)
	f.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() + ahead FROM test_clock'`)
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		VALUES ($1, '', '{}', now() - interval '1 hour', now() - interval '1 hour')`, customer)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
		organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{"batch":"Web"}', 72, 24, '1', 'Relief', 'America/Phoenix', 'en-US', now() - interval '1 hour')`, customer)
	f.giveKey(t, key)
	return f
}

func (f *fixture) giveKey(t *testing.T, key string) {
	t.Helper()
	sealed, err := f.vault.Seal(t.Context(), customer, store.CredentialVirtuousToken, []byte(key))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO credentials (customer_id, name, sealed, updated_at) VALUES ($1, 'virtuous_token', $2, rollcall_now())
		ON CONFLICT (customer_id, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at`, customer, sealed)
}

func (f *fixture) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
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

// advance moves the clocks of the database and of the sandbox.
func (f *fixture) advance(t *testing.T, by time.Duration) {
	t.Helper()
	f.control(t, http.MethodPut, "/clock", map[string]any{"advanceSeconds": by.Seconds()})
	f.exec(t, `UPDATE test_clock SET ahead = ahead + make_interval(secs => $1)`, by.Seconds())
}

// control asks the sandbox's control API, and returns the answer's body.
func (f *fixture) control(t *testing.T, method, path string, body any) []byte {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, f.sandbox+"/control"+path, bytes.NewReader(encoded))
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Less(t, answer.StatusCode, 300, "%s", content)
	return content
}

func (f *fixture) fault(t *testing.T, rule map[string]any) {
	t.Helper()
	all := map[string]any{"target": "virtuous", "operation": "transaction"}
	maps.Copy(all, rule)
	f.control(t, http.MethodPost, "/faults", all)
}

// transaction is a transaction that the sandbox has.
type transaction struct {
	Source, ID, State string
	Repeats           int
	Body              json.RawMessage
}

func (f *fixture) transactions(t *testing.T) map[string]transaction {
	t.Helper()
	found := map[string]transaction{}
	for line := range strings.Lines(string(f.control(t, http.MethodGet, "/virtuous/orgs/acme/transactions", nil))) {
		var one transaction
		require.NoError(t, json.Unmarshal([]byte(line), &one))
		require.NotContains(t, found, one.ID, "a donation has one transaction")
		found[one.ID] = one
	}
	return found
}

// operations returns the requests that the sandbox's Virtuous received, by operation.
func (f *fixture) operations(t *testing.T) map[string]int {
	t.Helper()
	var ledger struct {
		Quota struct{ Operations map[string]int }
	}
	require.NoError(t, json.Unmarshal(f.control(t, http.MethodGet, "/virtuous/orgs/acme/ledger", nil), &ledger))
	return ledger.Quota.Operations
}

// donation returns a message with some fields replaced.
func donation(t testing.TB, id string, changed map[string]any) []byte {
	t.Helper()
	fields := map[string]any{
		"customerId": customer, "platformDonationId": id, "amount": "125.00", "currencyCode": "USD", "giftDate": "2026-11-20", "giftType": "Credit",
		"contact":      map[string]any{"firstName": "Ana", "lastName": "Ruiz", "email": "ana.ruiz@example.org"},
		"designations": []any{map[string]any{"code": "CLEAN-WATER", "amountDesignated": "125.00"}},
	}
	maps.Copy(fields, changed)
	encoded, err := json.Marshal(fields)
	require.NoError(t, err)
	return encoded
}

// give captures a donation as the service does.
func (f *fixture) give(t *testing.T, id string, changed map[string]any) {
	t.Helper()
	f.sequence++
	f.deliver(t, customer, f.sequence, donation(t, id, changed))
}

// deliver captures the message of that sequence.
func (f *fixture) deliver(t *testing.T, to string, sequence uint64, body []byte) {
	t.Helper()
	require.NoError(t, f.capturer.capture(t.Context(), message(to, sequence, body)))
}

func message(to string, sequence uint64, body []byte) intake.Message {
	return intake.Message{Created: streamCreated, Delivery: &worker.Delivery{
		Subject: bus.SubjectDonation(to), Data: body, Stream: bus.StreamDonations, Sequence: sequence, Deliveries: 1,
		Published: streamCreated.Add(time.Duration(sequence) * time.Second),
	}}
}

// round gives the customer a round as the loop does. ran is false if no donation is due, or the customer is held.
func (f *fixture) round(t *testing.T) (end round.End, ran bool) {
	t.Helper()
	customers, err := f.store.DonationCustomers(t.Context())
	require.NoError(t, err)
	if len(customers) == 0 {
		return round.End{}, false
	}
	return f.rounds.Work(t.Context(), round.Next{Customer: customers[0].ID}, make(chan struct{})), true
}

// states returns the donations with their states.
func (f *fixture) states(t *testing.T) []string {
	t.Helper()
	return column[string](t, f, `SELECT platform_donation_id || ' ' || status FROM virtuous_donation_queue ORDER BY platform_donation_id`)
}

// events returns the names of the events of the outbox, in order.
func (f *fixture) events(t *testing.T) []string {
	t.Helper()
	return column[string](t, f, `SELECT split_part(subject, '.', 3) || '.' || split_part(subject, '.', 4) FROM outbox
		WHERE subject LIKE 'rollcall.events.%' ORDER BY id`)
}
