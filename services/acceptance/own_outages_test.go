package acceptance_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// recovery is the time after an outage within which all work must continue without an operator.
const recovery = 30 * time.Second

// requireFor requires a condition for as long as an outage lasts.
func (f *fixture) requireFor(length time.Duration, holds func()) {
	f.t.Helper()
	end := time.NewTimer(length)
	defer end.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-end.C:
			return
		case <-look.C:
			holds()
		}
	}
}

// startAt starts a service and returns its readiness.
func (f *fixture) startAt(program string) (readiness func() int) {
	f.t.Helper()
	address := testkit.FreeAddr(f.t)
	env := maps.Clone(f.env)
	env["HTTP_ADDR"] = address
	f.programs = append(f.programs, testkit.Program(f.t, program, testkit.ProgramConfig{Env: env}))
	testkit.WaitReady(f.t, "http://"+address+"/readyz")
	return func() int {
		ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		require.NoError(f.t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(f.t, err, "the service ended")
		require.NoError(f.t, response.Body.Close())
		return response.StatusCode
	}
}

// startBackfills starts an installation with one complete customer and one in the middle of a backfill.
func startBackfills(f *fixture) {
	f.t.Helper()
	f.organisation("leaver", 40)
	f.organisation("newcomer", 40)
	f.organisation("half-read", 3000)
	f.onboard("leaver")
	f.awaitDone("leaver")
	f.slowDown(20)
	f.onboard("half-read")
	f.awaitRead("half-read", 100)
}

// wait publishes messages that have to wait.
func (f *fixture) wait() {
	f.t.Helper()
	f.onboard("newcomer")
	f.publish(bus.SubjectOffboard("leaver"), map[string]any{"customerId": "leaver"})
}

// requireRecovered requires that all work continues within 30 s of back and completes.
func (f *fixture) requireRecovered(back time.Time, readSoFar int, ready ...func() int) {
	f.t.Helper()
	within := func(what, query string, arguments ...any) {
		f.t.Helper()
		f.await(max(time.Until(back.Add(recovery)), time.Second), what, func() bool {
			ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second)
			defer cancel()
			var holds bool
			return f.pool.QueryRow(ctx, query, arguments...).Scan(&holds) == nil && holds
		})
		f.t.Logf("%s: %s after the end of the outage", what, time.Since(back).Round(100*time.Millisecond))
	}
	for _, readiness := range ready {
		f.await(recovery, "ready again", func() bool { return readiness() == http.StatusOK })
	}
	within("the offboarding is done", `SELECT offboarded_at IS NOT NULL FROM sync_configs WHERE customer_id = 'leaver'`)
	within("the onboarding is done", `SELECT count(*) = 1 FROM sync_configs WHERE customer_id = 'newcomer'`)
	within("the backfill goes on", `SELECT processed > $1 FROM all_runs WHERE kind = 'backfill' AND customer_id = 'half-read'`, readSoFar)
	f.awaitDone("half-read")
	f.awaitDone("newcomer")
	f.requireMirrored("half-read", 3000)
	f.requireMirrored("newcomer", 40)
	require.Zero(f.t, f.count(`SELECT count(*) FROM dead_letters`))
	require.Zero(f.t, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND state <> 'completed'`))
	require.Equal(f.t, 1, f.count(`SELECT max(runs) FROM (
		SELECT count(*) AS runs FROM all_runs WHERE kind = 'backfill' GROUP BY customer_id) n`), "none was begun anew")
	require.Zero(f.t, f.count(`SELECT count(*) FROM alerts WHERE type IN ('onboarding_letter', 'backfill_failed')`))
}

func TestPostgresOutageLosesNothing(t *testing.T) {
	t.Parallel()
	postgres := newOwnPostgres(t)
	settings := map[string]string{"CLAIM_TIMEOUT": "10s"}
	maps.Copy(settings, fast)
	f := newFixtureOn(t, postgres.url(), settings)
	onboarding, backfill := f.startAt(programOnboarding), f.startAt(programBackfill)
	startBackfills(f)
	read := f.count(`SELECT processed FROM all_runs WHERE kind = 'backfill' AND customer_id = 'half-read'`)

	postgres.running.Stop()
	f.wait()
	f.await(recovery, "neither is ready", func() bool {
		return onboarding() == http.StatusServiceUnavailable && backfill() == http.StatusServiceUnavailable
	})
	f.requireFor(testkit.Outage(t), func() {
		require.Equal(t, http.StatusServiceUnavailable, onboarding())
		require.Equal(t, http.StatusServiceUnavailable, backfill())
	})
	postgres.start()

	f.requireRecovered(time.Now(), read, onboarding, backfill)
}

// setWritable lets the server accept writes or reject them, as a standby does.
func (p *ownPostgres) setWritable(writes bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), recovery)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.url())
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, conn.Close(ctx)) }()
	change := `ALTER SYSTEM SET default_transaction_read_only = on`
	if writes {
		change = `ALTER SYSTEM RESET default_transaction_read_only`
	}
	for _, statement := range []string{`SET default_transaction_read_only = off`, change, `SELECT pg_reload_conf()`} {
		_, err := conn.Exec(ctx, statement)
		require.NoError(p.t, err)
	}
}

func TestBackfillAndPollSurviveReadOnlyPostgres(t *testing.T) {
	t.Parallel()
	postgres := newOwnPostgres(t)
	settings := map[string]string{"CLAIM_TIMEOUT": "10s"}
	maps.Copy(settings, fast)
	f := newFixtureOn(t, postgres.url(), settings)
	ready := []func() int{f.startAt(programOnboarding), f.startAt(programBackfill), f.startAt(programPoller)}
	f.organisation("steady", 40)
	f.onboard("steady")
	f.awaitDone("steady")
	startBackfills(f)
	read := f.count(`SELECT processed FROM all_runs WHERE kind = 'backfill' AND customer_id = 'half-read'`)

	postgres.setWritable(false)
	f.wait()
	f.requestPoll("steady")
	for _, readiness := range ready {
		f.await(recovery, "not ready", func() bool { return readiness() == http.StatusServiceUnavailable })
	}
	f.requireFor(testkit.Outage(t), func() {
		for _, readiness := range ready {
			require.Equal(t, http.StatusServiceUnavailable, readiness())
		}
	})
	polled := f.count(`SELECT count(*) FROM job_log WHERE customer_id = 'steady' AND job = 'user_sync_poll' AND outcome = 'success'`)
	postgres.setWritable(true)
	back := time.Now()

	f.await(recovery, "a poll comes to its end", func() bool {
		return f.count(`SELECT count(*) FROM job_log WHERE customer_id = 'steady' AND job = 'user_sync_poll' AND outcome = 'success'`) > polled
	})
	f.requireRecovered(back, read, ready...)
	require.Zero(t, f.count(`SELECT count(*) FROM job_log WHERE outcome = 'failed'`))
}

// transit stands in for a Vault's transit engine. It keeps no secrets.
type transit struct {
	server *httptest.Server
	away   atomic.Int64 // number of requests during the outage; below 0: available
	gone   chan struct{}
}

func newTransit(t *testing.T) *transit {
	t.Helper()
	s := &transit{gone: make(chan struct{})}
	s.away.Store(-1)
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	t.Cleanup(func() { close(s.gone) })
	return s
}

// ServeHTTP alternates between silence and errors during the outage.
func (s *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Plaintext, Ciphertext string }
	_ = json.NewDecoder(r.Body).Decode(&asked) // an unreadable body counts as empty
	if s.away.Load() >= 0 {
		if s.away.Add(1)%2 == 0 {
			select {
			case <-s.gone:
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"errors":["Vault is sealed"]}`))
		return
	}
	answer := map[string]string{"ciphertext": "vault:v1:" + asked.Plaintext}
	if asked.Ciphertext != "" {
		answer = map[string]string{"plaintext": strings.TrimPrefix(asked.Ciphertext, "vault:v1:")}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": answer})
}

func TestKeyServiceOutageLosesNothing(t *testing.T) {
	t.Parallel()
	keys := newTransit(t)
	settings := map[string]string{
		"SECRETS_URL": "hashivault://rollcall", "VAULT_SERVER_URL": keys.server.URL, "VAULT_SERVER_TOKEN": "t0ken",
		"BACKFILL_TURN": "1s", // each turn opens its keys again
	}
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	onboarding, backfill := f.startAt(programOnboarding), f.startAt(programBackfill)
	startBackfills(f)

	keys.away.Store(0)
	f.wait()
	f.awaitRow("the backfill is parked with its reason, and its claim is given back", `SELECT park_reason = 'keeper_unavailable' AND attempts = 0
		FROM all_runs WHERE kind = 'backfill' AND customer_id = 'half-read' AND state = 'parked'`)
	read := f.count(`SELECT processed FROM all_runs WHERE kind = 'backfill' AND customer_id = 'half-read'`)
	f.requireFor(testkit.Outage(t), func() {
		require.Equal(t, 1, f.count(`SELECT count(*) FROM alerts WHERE type = 'keeper_unavailable' AND cleared_at IS NULL`))
		require.Zero(t, f.count(`SELECT count(*) FROM dead_letters`))
		require.LessOrEqual(t, f.count(`SELECT attempts FROM all_runs WHERE kind = 'backfill' AND customer_id = 'half-read'`), 1)
	})
	require.Equal(t, read, f.count(`SELECT processed FROM all_runs WHERE kind = 'backfill' AND customer_id = 'half-read'`))
	keys.away.Store(-1)

	f.requireRecovered(time.Now(), read, onboarding, backfill)
	require.Zero(t, f.count(`SELECT count(*) FROM alerts WHERE type = 'keeper_unavailable' AND cleared_at IS NULL`))
}
