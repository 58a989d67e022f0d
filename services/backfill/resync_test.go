package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

// counter is where operators ask for one user: a resyncer between a VOMO and a CRM that say what a test wants.
type counter struct {
	*resyncer
	worker *backfiller
	pool   *pgxpool.Pool

	mu      sync.Mutex
	updated string // VOMO's updated_at of every user; "" for 404
	vomo    int    // what VOMO says otherwise
	pause   string // its Retry-After, "" for none
	reads   int    // requests to VOMO
	more    int    // users in the list beside the first
	partial bool   // by its id VOMO gives a user's participations alone
	crm     int
	body    string
	written []string // the CRM's paths
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{updated: "2026-03-01T12:00:00+00:00", crm: http.StatusOK, body: `{"id":"crm-1"}`}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	database := testkit.Database(t)
	from, err := store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	c.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(c.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	factory := rest.Factory(rest.Config{Transport: transport}, destination.PrivateAccess{All: true})
	c.worker = &backfiller{
		store: from, logger: zap.NewNop(), holder: "worker-1", leaseFor: 30 * time.Second, turn: time.Minute, tries: 10,
		metrics: newMetrics(prometheus.NewRegistry()),
		connect: &connector.Connector{
			Store: from, Vault: &vault.Vault{Keeper: keeper, Keys: from}, Logger: zap.NewNop(), VomoBaseURL: server.URL + "/v1",
			Timeout: 5 * time.Second, Limits: budget.Limits{PerSecond: 10000}, Concurrency: 2,
			Breakers: destination.NewBreakers(destination.BreakersConfig{}),
			Opener:   &destination.Opener{Factories: map[string]destination.Factory{"rest": factory}},
		},
	}
	c.resyncer = newResyncer(c.worker)
	c.onboard(t, server.URL+"/crm")
	return c
}

func (c *counter) onboard(t *testing.T, address string) {
	t.Helper()
	sealed, err := c.connect.Vault.Seal(t.Context(), "acme", store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(t, err)
	_, err = c.pool.Exec(t.Context(), `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		VALUES ('acme', $1, jsonb_build_object('kind', 'rest', 'url', $1::text), now(), now())`, address)
	require.NoError(t, err)
	_, err = c.pool.Exec(t.Context(), `INSERT INTO credentials VALUES ('acme', 'vomo_token', $1, now())`, sealed)
	require.NoError(t, err)
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Method == http.MethodPut:
		c.written = append(c.written, r.URL.Path)
		w.WriteHeader(c.crm)
		_, _ = io.WriteString(w, c.body)
	case c.vomo != 0:
		c.reads++
		if c.pause != "" {
			w.Header().Set("Retry-After", c.pause)
		}
		w.WriteHeader(c.vomo)
	case c.updated == "":
		w.WriteHeader(http.StatusNotFound)
	default:
		var data any = map[string]any{
			"id": "1", "first_name": "Ana", "last_name": nil, "email": "Ana@Example.org", "phone": nil, "user_status": nil,
			"membership_role": nil, "created_at": nil, "updated_at": c.updated,
		}
		switch {
		case r.URL.Path == "/v1/users":
			list := []any{data}
			for n := range c.more {
				another := maps.Clone(data.(map[string]any))
				another["id"] = strconv.Itoa(n + 2)
				list = append(list, another)
			}
			data = list
		case c.partial:
			data = map[string]any{"id": path.Base(r.URL.Path), "participations": []any{}}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "meta": map[string]any{"total": 1 + c.more, "per_page": 15}})
	}
}

// set changes what VOMO and the CRM say, and forgets what was written.
func (c *counter) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = nil
	change()
}

func (c *counter) writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.written)
}

func (c *counter) asked(t *testing.T) report.Resync {
	t.Helper()
	result, err := c.resync(t.Context(), report.ResyncQuestion{CustomerID: "acme", VomoID: "1"})
	require.NoError(t, err)
	return result
}

func (c *counter) count(t *testing.T, query string) int {
	t.Helper()
	var count int
	require.NoError(t, c.pool.QueryRow(t.Context(), query).Scan(&count))
	return count
}

func TestAWorkerReadsTheDestinationAgainOnceItHasTheLane(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	before, err := c.store.Customer(t.Context(), "acme")
	require.NoError(t, err)
	_, err = c.pool.Exec(t.Context(), `UPDATE sync_configs SET destination = jsonb_set(destination, '{url}', to_jsonb(external_system_url || '-two'))`)
	require.NoError(t, err)
	var run store.Run
	require.NoError(t, c.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		id, _, err := tx.StartRun(ctx, "acme", jobInitialBackfill, "00-trace-01")
		if err != nil {
			return err
		}
		run, err = tx.Run(ctx, id)
		return err
	}))

	require.NoError(t, c.worker.claim(t.Context(), &worker.Delivery{}, before, run, func() {}, zap.NewNop()))

	require.Equal(t, []string{"/crm-two/users/vomo-1"}, c.written)
}

func TestAResyncWritesWhatIsKnownAndNeverAnOlderVersion(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	first := c.asked(t)
	require.Equal(t, report.ResyncWritten, first.Outcome)
	require.False(t, first.WasCurrent)
	require.Nil(t, first.KnownUpdatedAt)

	again := c.asked(t)
	require.Equal(t, report.ResyncWritten, again.Outcome)
	require.True(t, again.WasCurrent)
	require.Equal(t, 2, c.writes())

	c.set(func() { c.updated = "2026-02-01T12:00:00+00:00" })
	older := c.asked(t)
	require.Equal(t, report.ResyncOlder, older.Outcome)
	require.True(t, older.UpdatedAt.Before(*older.KnownUpdatedAt))
	require.Zero(t, c.writes())

	c.set(func() { c.updated = "" })
	require.Equal(t, report.ResyncNotFound, c.asked(t).Outcome)
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM user_mappings`), "nothing is deleted")
	require.Equal(t, 2, c.count(t, `SELECT count(*) FROM sync_audit WHERE operation = 'resync'`))
	require.Equal(t, 4, c.count(t, `SELECT count(*) FROM job_log WHERE job = 'user_resync' AND completed_at IS NOT NULL`))
	require.Zero(t, c.count(t, `SELECT count(*) FROM customer_leases WHERE expires_at > now()`), "the lane is free again")
	require.Equal(t, 4, c.count(t, `SELECT (spent->>'user_resync')::int FROM customer_budgets`), "under the customer's budget")
}

func TestAResyncWritesAUserWhoseStoredTimeIsAhead(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.asked(t)
	changed := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	for _, ahead := range []string{"3 hours", "100 years"} {
		_, err := c.pool.Exec(t.Context(), `UPDATE user_mappings SET last_synced_updated_at = now() + $1::text::interval`, ahead)
		require.NoError(t, err)
		changed = changed.Add(time.Minute)
		c.set(func() { c.updated = changed.Format(time.RFC3339) })

		edited := c.asked(t)

		require.Equal(t, report.ResyncWritten, edited.Outcome, ahead)
		require.False(t, edited.WasCurrent)
		require.Equal(t, 1, c.writes())
		require.Equal(t, 1, c.count(t, `SELECT count(*) FROM user_mappings WHERE last_synced_updated_at < now()`), "by VOMO's time")
	}
	c.set(func() { c.updated = changed.Add(-time.Minute).Format(time.RFC3339) })
	require.Equal(t, report.ResyncOlder, c.asked(t).Outcome, "an older answer loses against a time that is not ahead")
}

func TestAResyncTellsWhyADestinationDidNotTakeTheUser(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.set(func() { c.crm, c.body = http.StatusUnprocessableEntity, `{"code":"email_invalid"}` })
	refused := c.asked(t)
	require.Equal(t, report.ResyncLetter, refused.Outcome)
	require.Equal(t, "email_invalid", refused.Letter.ErrorCode)
	require.Equal(t, "permanent", refused.Letter.ErrorClass)

	c.set(func() { c.crm, c.body = http.StatusConflict, `{"code":"stale"}` })
	require.Equal(t, report.ResyncDestinationNewer, c.asked(t).Outcome)
	require.Equal(t, 1, c.writes(), "an open letter does not keep an operator from trying")
	require.Zero(t, c.count(t, `SELECT count(*) FROM dead_letters WHERE state <> 'settled'`))
}

func TestAResyncThatCannotBeDoneNowSaysSoAndChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	ask := func(id string) error {
		_, err := c.resync(t.Context(), report.ResyncQuestion{CustomerID: "acme", VomoID: id})
		return err
	}
	var conflict *service.ConflictError
	var busy *service.BusyError
	var bad *service.BadRequestError
	c.set(func() { c.crm = http.StatusUnauthorized })
	require.ErrorAs(t, ask("1"), &conflict)
	c.set(func() { c.crm = http.StatusServiceUnavailable })
	require.ErrorAs(t, ask("1"), &busy)
	c.set(func() { c.vomo = http.StatusUnauthorized })
	require.ErrorAs(t, ask("1"), &conflict)
	require.Contains(t, conflict.Text, "VOMO")
	require.ErrorAs(t, ask(".."), &bad)
	_, err := c.resync(t.Context(), report.ResyncQuestion{CustomerID: "globex", VomoID: "1"})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Zero(t, c.count(t, `SELECT (SELECT count(*) FROM user_mappings) + (SELECT count(*) FROM dead_letters)`), "no letter for a destination's fault")
	require.Zero(t, c.count(t, `SELECT count(*) FROM job_log WHERE completed_at IS NULL`))
	_, err = c.pool.Exec(t.Context(), `UPDATE sync_configs SET enabled = false`)
	require.NoError(t, err)
	require.ErrorAs(t, ask("1"), &conflict)
}

func TestAResyncReadsAUserFromTheListIfVOMOGivesParticipationsAlone(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.set(func() { c.partial = true })

	first := c.asked(t)
	require.Equal(t, report.ResyncWritten, first.Outcome)
	require.Equal(t, 1, c.writes())

	again := c.asked(t)
	require.True(t, again.WasCurrent, "the whole user was read, and not half of it")

	result, err := c.resync(t.Context(), report.ResyncQuestion{CustomerID: "acme", VomoID: "2"})
	require.NoError(t, err)
	require.Equal(t, report.ResyncNotFound, result.Outcome, "the whole list has no such user")
}
