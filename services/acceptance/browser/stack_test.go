//go:build e2e

package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

const (
	soon    = 30 * time.Second
	longest = 2 * time.Minute
)

// stack is one installation with a console.
type stack struct {
	t       *testing.T
	conn    *nats.Conn
	js      jetstream.JetStream
	pool    *pgxpool.Pool
	client  operatorclient.Client
	sandbox string // base URL
	console string // base URL
}

// newStack starts every service. The requests to VOMO are limited so that a backfill of a few hundred users can be watched.
func newStack(t *testing.T) *stack {
	t.Helper()
	server := testkit.NATS(t)
	database := testkit.Database(t)
	s := &stack{t: t, conn: server.Conn(t), js: server.JetStream(t)}
	s.client = operatorclient.Client{Conn: s.conn, Timeout: soon, Operator: "e2e"}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	require.NoError(t, bus.Ensure(ctx, s.js, 1, 30*time.Second))
	var err error
	s.pool, err = pgxpool.New(ctx, database)
	require.NoError(t, err)
	t.Cleanup(s.pool.Close)
	address := testkit.FreeAddr(t)
	s.sandbox = "http://" + address
	testkit.Program(t, "rollcall.dev/services/sandbox", testkit.ProgramConfig{Env: map[string]string{"HTTP_ADDR": address}})
	testkit.WaitReady(t, s.sandbox+"/readyz")
	env := map[string]string{
		"DATABASE_URL": database, "NATS_URL": server.URL, "VOMO_BASE_URL": s.sandbox + "/vomo/v1",
		"SECRETS_URL": "dev:" + filepath.Join(t.TempDir(), "secrets.key"), "ALLOW_PRIVATE_DESTINATIONS": "true",
		"CLAIM_TIMEOUT": "30s", "VOMO_REQUESTS_PER_SECOND": "4", "VOMO_REQUESTS_PER_MINUTE": "0",
	}
	for _, name := range []string{"onboarding", "backfill", "poller", "reconciler", "dlqretry", "writeback", "console"} {
		address := testkit.FreeAddr(t)
		env["HTTP_ADDR"] = address
		testkit.Program(t, "rollcall.dev/services/"+name, testkit.ProgramConfig{Env: env})
		testkit.WaitReady(t, "http://"+address+"/readyz")
		if name == "console" {
			s.console = "http://" + address
		}
	}
	return s
}

// onboard gives the sandbox an organisation, and onboards it.
func (s *stack) onboard(customer string, users int) {
	s.t.Helper()
	s.control(http.MethodPost, "/control/orgs", map[string]any{"name": customer, "token": customer + "-token", "users": users, "seed": 7})
	payload, err := json.Marshal(map[string]any{
		"customerId": customer, "vomoToken": customer + "-token", "externalSystemUrl": s.sandbox + "/crm/" + customer,
	})
	require.NoError(s.t, err)
	_, err = s.js.Publish(s.t.Context(), bus.SubjectOnboard(customer), payload)
	require.NoError(s.t, err)
}

// control changes the sandbox.
func (s *stack) control(method, path string, body any) {
	s.t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(s.t, err)
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.sandbox+path, bytes.NewReader(encoded))
	require.NoError(s.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	require.Less(s.t, response.StatusCode, 300, "%s %s: %s", method, path, answer)
}

// token returns a new API token with a role.
func (s *stack) token(role string) string {
	s.t.Helper()
	added, err := operatorclient.Ask[operatorapi.TokenAddition, operatorapi.TokenAdded](s.t.Context(), &s.client, "tokens", "add",
		operatorapi.TokenAddition{Name: "e2e-" + role, Role: role})
	require.NoError(s.t, err)
	return added.Secret
}

// link returns the address of a new link to a customer's page.
func (s *stack) link(customer string, may ...string) string {
	s.t.Helper()
	added, err := operatorclient.Ask[operatorapi.LinkAddition, operatorapi.LinkAdded](s.t.Context(), &s.client, "links", "add",
		operatorapi.LinkAddition{CustomerID: customer, Rights: may})
	require.NoError(s.t, err)
	return added.URL
}

// await waits for a condition that depends on several processes.
func (s *stack) await(what string, holds func() bool) {
	s.t.Helper()
	require.Eventually(s.t, holds, longest, 100*time.Millisecond, what)
}

func (s *stack) count(query string, arguments ...any) (count int) {
	s.t.Helper()
	require.NoError(s.t, s.pool.QueryRow(s.t.Context(), query, arguments...).Scan(&count))
	return count
}
