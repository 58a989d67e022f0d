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

// recovery is within which everything goes on after the end of an outage, without a person.
const recovery = 30 * time.Second

// lasts waits for as long as an outage, and looks all the while that something holds.
func (h *house) lasts(length time.Duration, holds func()) {
	h.t.Helper()
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

// startAt is start for a service whose readiness the test watches.
func (h *house) startAt(program string) (readiness func() int) {
	h.t.Helper()
	address := testkit.FreeAddr(h.t)
	env := maps.Clone(h.env)
	env["HTTP_ADDR"] = address
	h.programs = append(h.programs, testkit.Program(h.t, program, testkit.ProgramConfig{Env: env}))
	testkit.WaitReady(h.t, "http://"+address+"/readyz")
	return func() int {
		ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		require.NoError(h.t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(h.t, err, "the service ended")
		require.NoError(h.t, response.Body.Close())
		return response.StatusCode
	}
}

// underWay is an installation with a customer who is complete, and one in the middle of a backfill.
func underWay(h *house) {
	h.t.Helper()
	h.organisation("leaver", 40)
	h.organisation("newcomer", 40)
	h.organisation("half-read", 3000)
	h.onboard("leaver")
	h.untilDone("leaver")
	h.slow(20)
	h.onboard("half-read")
	h.untilRead("half-read", 100)
}

// wait publishes what has to wait.
func (h *house) wait() {
	h.t.Helper()
	h.onboard("newcomer")
	h.publish(bus.SubjectOffboard("leaver"), map[string]any{"customerId": "leaver"})
}

// requireRecovered requires that all goes on within 30 s of back, and comes to its end as if nothing had been.
func (h *house) requireRecovered(back time.Time, readSoFar int, ready ...func() int) {
	h.t.Helper()
	within := func(what, query string, arguments ...any) {
		h.t.Helper()
		h.until(max(time.Until(back.Add(recovery)), time.Second), what, func() bool {
			ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Second)
			defer cancel()
			var holds bool
			return h.pool.QueryRow(ctx, query, arguments...).Scan(&holds) == nil && holds
		})
		h.t.Logf("%s: %s after the end of the outage", what, time.Since(back).Round(100*time.Millisecond))
	}
	for _, readiness := range ready {
		h.until(recovery, "ready again", func() bool { return readiness() == http.StatusOK })
	}
	within("the offboarding is done", `SELECT offboarded_at IS NOT NULL FROM sync_configs WHERE customer_id = 'leaver'`)
	within("the onboarding is done", `SELECT count(*) = 1 FROM sync_configs WHERE customer_id = 'newcomer'`)
	within("the backfill goes on", `SELECT processed > $1 FROM backfill_runs WHERE customer_id = 'half-read'`, readSoFar)
	h.untilDone("half-read")
	h.untilDone("newcomer")
	h.requireMirrored("half-read", 3000)
	h.requireMirrored("newcomer", 40)
	require.Zero(h.t, h.count(`SELECT count(*) FROM dead_letters`))
	require.Zero(h.t, h.count(`SELECT count(*) FROM backfill_runs WHERE state <> 'completed'`))
	require.Equal(h.t, 1, h.count(`SELECT max(runs) FROM (SELECT count(*) AS runs FROM backfill_runs GROUP BY customer_id) n`), "none was begun anew")
	require.Zero(h.t, h.count(`SELECT count(*) FROM alerts WHERE type IN ('onboarding_letter', 'backfill_failed')`))
}

func TestNothingIsLostWhilePostgresIsAway(t *testing.T) {
	t.Parallel()
	postgres := newOwnPostgres(t)
	settings := map[string]string{"CLAIM_TIMEOUT": "10s"}
	maps.Copy(settings, fast)
	h := newHouseOn(t, postgres.url(), settings)
	onboarding, backfill := h.startAt(programOnboarding), h.startAt(programBackfill)
	underWay(h)
	read := h.count(`SELECT processed FROM backfill_runs WHERE customer_id = 'half-read'`)

	postgres.running.Stop()
	h.wait()
	h.until(recovery, "neither is ready", func() bool {
		return onboarding() == http.StatusServiceUnavailable && backfill() == http.StatusServiceUnavailable
	})
	h.lasts(testkit.Outage(t), func() {
		require.Equal(t, http.StatusServiceUnavailable, onboarding())
		require.Equal(t, http.StatusServiceUnavailable, backfill())
	})
	postgres.start()

	h.requireRecovered(time.Now(), read, onboarding, backfill)
}

// takesWrites has the server take no writes, as one that became a standby, or take them again.
func (p *ownPostgres) takesWrites(writes bool) {
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

func TestABackfillAndAPollPassThroughAPostgresThatTakesNoWrites(t *testing.T) {
	t.Parallel()
	postgres := newOwnPostgres(t)
	settings := map[string]string{"CLAIM_TIMEOUT": "10s"}
	maps.Copy(settings, fast)
	h := newHouseOn(t, postgres.url(), settings)
	ready := []func() int{h.startAt(programOnboarding), h.startAt(programBackfill), h.startAt(programPoller)}
	h.organisation("steady", 40)
	h.onboard("steady")
	h.untilDone("steady")
	underWay(h)
	read := h.count(`SELECT processed FROM backfill_runs WHERE customer_id = 'half-read'`)

	postgres.takesWrites(false)
	h.wait()
	h.publish(bus.SubjectPoll("steady"), map[string]any{"customerId": "steady"})
	for _, readiness := range ready {
		h.until(recovery, "not ready", func() bool { return readiness() == http.StatusServiceUnavailable })
	}
	h.lasts(testkit.Outage(t), func() {
		for _, readiness := range ready {
			require.Equal(t, http.StatusServiceUnavailable, readiness())
		}
	})
	polled := h.count(`SELECT count(*) FROM job_log WHERE customer_id = 'steady' AND job = 'user_sync_poll' AND outcome = 'success'`)
	postgres.takesWrites(true)
	back := time.Now()

	h.until(recovery, "a poll comes to its end", func() bool {
		return h.count(`SELECT count(*) FROM job_log WHERE customer_id = 'steady' AND job = 'user_sync_poll' AND outcome = 'success'`) > polled
	})
	h.requireRecovered(back, read, ready...)
	require.Zero(t, h.count(`SELECT count(*) FROM job_log WHERE outcome = 'failed'`))
}

// transit stands for a Vault's transit engine, and keeps no secrets.
type transit struct {
	server *httptest.Server
	away   atomic.Int64 // how often it was asked while it was away; below 0: it is there
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

// ServeHTTP hangs and refuses in turns while it is away.
func (s *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Plaintext, Ciphertext string }
	_ = json.NewDecoder(r.Body).Decode(&asked) // what cannot be read is empty
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

func TestNothingIsLostWhileTheKeyServiceIsAway(t *testing.T) {
	t.Parallel()
	keys := newTransit(t)
	settings := map[string]string{
		"SECRETS_URL": "hashivault://rollcall", "VAULT_SERVER_URL": keys.server.URL, "VAULT_SERVER_TOKEN": "t0ken",
		"BACKFILL_TURN": "1s", // each turn opens its keys anew
	}
	maps.Copy(settings, fast)
	h := newHouse(t, settings)
	onboarding, backfill := h.startAt(programOnboarding), h.startAt(programBackfill)
	underWay(h)

	keys.away.Store(0)
	h.wait()
	h.untilRow("the backfill is parked with its reason, and its claim is given back", `SELECT park_reason = 'keeper_unavailable' AND attempts = 0
		FROM backfill_runs WHERE customer_id = 'half-read' AND state = 'parked'`)
	read := h.count(`SELECT processed FROM backfill_runs WHERE customer_id = 'half-read'`)
	h.lasts(testkit.Outage(t), func() {
		require.Equal(t, 1, h.count(`SELECT count(*) FROM alerts WHERE type = 'keeper_unavailable' AND cleared_at IS NULL`))
		require.Zero(t, h.count(`SELECT count(*) FROM dead_letters`))
		require.LessOrEqual(t, h.count(`SELECT attempts FROM backfill_runs WHERE customer_id = 'half-read'`), 1)
	})
	require.Equal(t, read, h.count(`SELECT processed FROM backfill_runs WHERE customer_id = 'half-read'`))
	keys.away.Store(-1)

	h.requireRecovered(time.Now(), read, onboarding, backfill)
	require.Zero(t, h.count(`SELECT count(*) FROM alerts WHERE type = 'keeper_unavailable' AND cleared_at IS NULL`))
}
