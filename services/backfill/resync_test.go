package main

import (
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
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

// fixture is a resyncer and a worker of backfills between a VOMO and a CRM that answer what a test sets.
type fixture struct {
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

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{updated: "2026-03-01T12:00:00+00:00", crm: http.StatusOK, body: `{"id":"crm-1"}`}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	database := testkit.Database(t)
	from, err := store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	factory := rest.Factory(rest.Config{Transport: transport}, destination.PrivateAccess{All: true})
	f.worker = &backfiller{runner: &job.Runner{
		Store: from, Logger: zap.NewNop(), Holder: "worker-1", LeaseFor: 30 * time.Second, Kind: backfillKind(time.Minute, 10),
		Connect: &connector.Connector{
			Store: from, Vault: &vault.Vault{Keeper: keeper, Keys: from}, Logger: zap.NewNop(), VomoBaseURL: server.URL + "/v1",
			Timeout: 5 * time.Second, Limits: budget.Limits{PerSecond: 10000}, Concurrency: 2,
			Breakers: destination.NewBreakers(destination.BreakersConfig{}),
			Opener:   &destination.Opener{Factories: map[string]destination.Factory{"rest": factory}},
		},
	}}
	f.resyncer = newResyncer(f.worker.runner)
	f.onboard(t, server.URL+"/crm")
	return f
}

func (f *fixture) onboard(t *testing.T, address string) {
	t.Helper()
	sealed, err := f.connect.Vault.Seal(t.Context(), "acme", store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(t, err)
	_, err = f.pool.Exec(t.Context(), `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		VALUES ('acme', $1, jsonb_build_object('kind', 'rest', 'url', $1::text), now(), now())`, address)
	require.NoError(t, err)
	_, err = f.pool.Exec(t.Context(), `INSERT INTO credentials VALUES ('acme', 'vomo_token', $1, now())`, sealed)
	require.NoError(t, err)
}

func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case r.Method == http.MethodPut:
		f.written = append(f.written, r.URL.Path)
		w.WriteHeader(f.crm)
		_, _ = io.WriteString(w, f.body)
	case f.vomo != 0:
		f.reads++
		if f.pause != "" {
			w.Header().Set("Retry-After", f.pause)
		}
		w.WriteHeader(f.vomo)
	case f.updated == "":
		w.WriteHeader(http.StatusNotFound)
	default:
		var data any = map[string]any{
			"id": "1", "first_name": "Ana", "last_name": nil, "email": "Ana@Example.org", "phone": nil, "user_status": nil,
			"membership_role": nil, "created_at": nil, "updated_at": f.updated,
		}
		switch {
		case r.URL.Path == "/v1/users":
			list := []any{data}
			for n := range f.more {
				another := maps.Clone(data.(map[string]any))
				another["id"] = strconv.Itoa(n + 2)
				list = append(list, another)
			}
			data = list
		case f.partial:
			data = map[string]any{"id": path.Base(r.URL.Path), "participations": []any{}}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "meta": map[string]any{"total": 1 + f.more, "per_page": 15}})
	}
}

// set changes what VOMO and the CRM say, and forgets what was written.
func (f *fixture) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written = nil
	change()
}

func (f *fixture) writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.written)
}

func (f *fixture) asked(t *testing.T) operatorapi.Resync {
	t.Helper()
	result, err := f.resync(t.Context(), operatorapi.ResyncQuestion{CustomerID: "acme", VomoID: "1"})
	require.NoError(t, err)
	return result
}

func (f *fixture) count(t *testing.T, query string) int {
	t.Helper()
	var count int
	require.NoError(t, f.pool.QueryRow(t.Context(), query).Scan(&count))
	return count
}

func TestBackfillReadsDestinationAgainOnceItHasTheLane(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.queued(t)
	// Its destination is replaced after the worker has read the customer, and before it has the lane.
	for _, statement := range []string{
		`CREATE FUNCTION replace_destination() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			UPDATE sync_configs SET destination = jsonb_set(destination, '{url}', to_jsonb(external_system_url || '-two'));
			RETURN new; END $$`,
		`CREATE TRIGGER replaced BEFORE INSERT ON customer_leases FOR EACH ROW EXECUTE FUNCTION replace_destination()`,
	} {
		_, err := f.pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}

	require.NoError(t, f.received(t))

	require.Equal(t, []string{"/crm-two/users/vomo-1"}, f.written)
}

func TestResyncWritesStoredVersionAndNeverAnOlderOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.asked(t)
	require.Equal(t, operatorapi.ResyncWritten, first.Outcome)
	require.False(t, first.WasCurrent)
	require.Nil(t, first.KnownUpdatedAt)

	again := f.asked(t)
	require.Equal(t, operatorapi.ResyncWritten, again.Outcome)
	require.True(t, again.WasCurrent)
	require.Equal(t, 2, f.writes())

	f.set(func() { f.updated = "2026-02-01T12:00:00+00:00" })
	older := f.asked(t)
	require.Equal(t, operatorapi.ResyncOlder, older.Outcome)
	require.True(t, older.UpdatedAt.Before(*older.KnownUpdatedAt))
	require.Zero(t, f.writes())

	f.set(func() { f.updated = "" })
	require.Equal(t, operatorapi.ResyncNotFound, f.asked(t).Outcome)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM user_mappings`), "nothing is deleted")
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM sync_audit WHERE operation = 'resync'`))
	require.Equal(t, 4, f.count(t, `SELECT count(*) FROM job_log WHERE job = 'user_resync' AND completed_at IS NOT NULL`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM customer_leases WHERE expires_at > now()`), "the lane is free again")
	require.Equal(t, 4, f.count(t, `SELECT (spent->>'user_resync')::int FROM customer_budgets`), "under the customer's budget")
}

func TestResyncKnowsABlankVersionByItsTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.asked(t)
	blank := func() {
		_, err := f.pool.Exec(t.Context(), `UPDATE user_mappings SET version_hash = '', field_digests = NULL, last_known_email = NULL`)
		require.NoError(t, err)
	}
	blank()
	require.True(t, f.asked(t).WasCurrent)
	blank()
	f.set(func() { f.updated = "2026-03-01T12:00:01+00:00" })
	require.False(t, f.asked(t).WasCurrent)
}

func TestResyncWritesUserWhoseStoredTimeIsAhead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.asked(t)
	changed := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	for _, ahead := range []string{"3 hours", "100 years"} {
		_, err := f.pool.Exec(t.Context(), `UPDATE user_mappings SET last_synced_updated_at = now() + $1::text::interval`, ahead)
		require.NoError(t, err)
		changed = changed.Add(time.Minute)
		f.set(func() { f.updated = changed.Format(time.RFC3339) })

		edited := f.asked(t)

		require.Equal(t, operatorapi.ResyncWritten, edited.Outcome, ahead)
		require.False(t, edited.WasCurrent)
		require.Equal(t, 1, f.writes())
		require.Equal(t, 1, f.count(t, `SELECT count(*) FROM user_mappings WHERE last_synced_updated_at < now()`), "by VOMO's time")
	}
	f.set(func() { f.updated = changed.Add(-time.Minute).Format(time.RFC3339) })
	require.Equal(t, operatorapi.ResyncOlder, f.asked(t).Outcome, "an older answer loses against a time that is not ahead")
}

func TestResyncSaysWhyDestinationDidNotAcceptTheUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.set(func() { f.crm, f.body = http.StatusUnprocessableEntity, `{"code":"email_invalid"}` })
	refused := f.asked(t)
	require.Equal(t, operatorapi.ResyncLetter, refused.Outcome)
	require.Equal(t, "email_invalid", refused.Letter.ErrorCode)
	require.Equal(t, "permanent", refused.Letter.ErrorClass)

	f.set(func() { f.crm, f.body = http.StatusConflict, `{"code":"stale"}` })
	require.Equal(t, operatorapi.ResyncDestinationNewer, f.asked(t).Outcome)
	require.Equal(t, 1, f.writes(), "an open letter does not keep an operator from trying")
	require.Zero(t, f.count(t, `SELECT count(*) FROM dead_letters WHERE state <> 'settled'`))
}

func TestResyncThatCannotBeDoneNowSaysSoAndChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ask := func(id string) error {
		_, err := f.resync(t.Context(), operatorapi.ResyncQuestion{CustomerID: "acme", VomoID: id})
		return err
	}
	var conflict *service.ConflictError
	var busy *service.BusyError
	var bad *service.BadRequestError
	f.set(func() { f.crm = http.StatusUnauthorized })
	require.ErrorAs(t, ask("1"), &conflict)
	f.set(func() { f.crm = http.StatusServiceUnavailable })
	require.ErrorAs(t, ask("1"), &busy)
	f.set(func() { f.vomo = http.StatusUnauthorized })
	require.ErrorAs(t, ask("1"), &conflict)
	require.Contains(t, conflict.Text, "VOMO")
	require.ErrorAs(t, ask(".."), &bad)
	_, err := f.resync(t.Context(), operatorapi.ResyncQuestion{CustomerID: "globex", VomoID: "1"})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Zero(t, f.count(t, `SELECT (SELECT count(*) FROM user_mappings) + (SELECT count(*) FROM dead_letters)`), "no letter for a destination's fault")
	require.Zero(t, f.count(t, `SELECT count(*) FROM job_log WHERE completed_at IS NULL`))
	_, err = f.pool.Exec(t.Context(), `UPDATE sync_configs SET enabled = false`)
	require.NoError(t, err)
	require.ErrorAs(t, ask("1"), &conflict)
}

func TestResyncReadsUserFromListIfVOMOGivesOnlyParticipations(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.set(func() { f.partial = true })

	first := f.asked(t)
	require.Equal(t, operatorapi.ResyncWritten, first.Outcome)
	require.Equal(t, 1, f.writes())

	again := f.asked(t)
	require.True(t, again.WasCurrent, "the whole user was read, and not half of it")

	result, err := f.resync(t.Context(), operatorapi.ResyncQuestion{CustomerID: "acme", VomoID: "2"})
	require.NoError(t, err)
	require.Equal(t, operatorapi.ResyncNotFound, result.Outcome, "the whole list has no such user")
}
