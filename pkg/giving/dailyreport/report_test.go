package dailyreport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const customer = "acme"

type fixture struct {
	dailyreport.Reporter

	store *store.Store
	pool  *pgxpool.Pool
	ids   int
}

// newFixture stops the database's clock at 03:00 UTC, when it is still the day before in Phoenix.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	database := testkit.Database(t)
	opened, err := store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	f := &fixture{Reporter: dailyreport.Reporter{Limits: dailyreport.DefaultLimits(), Floors: dailyreport.DefaultFloors()}, store: opened, pool: pool}
	f.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$SELECT '2026-11-20T03:00:00Z'::timestamptz$$`)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours,
		stuck_after_hours, organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{}', 72, 24, '1', 'Acme', 'America/Phoenix', 'en-US', now())`, customer)
	return f
}

func (f *fixture) exec(t testing.TB, statement string, arguments ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// add adds a donation in a state, with further columns.
func (f *fixture) add(t testing.TB, status, columns, values string) {
	t.Helper()
	f.ids++
	f.exec(t, fmt.Sprintf(`INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed,
		content_hash, status_at, updated_at, %s) VALUES ('acme', '%d', '%s', 'AcmeGive', '', '', '', rollcall_now(), rollcall_now(), %s)`,
		columns, f.ids, status, values))
}

func (f *fixture) makeAndStore(t testing.TB) (made dailyreport.Report) {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		made, err = f.MakeAndStore(ctx, tx, customer)
		return err
	}))
	return made
}

func TestReportOfNothingHasEveryName(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made, err := f.Make(t.Context(), f.store.Conn, customer)
	require.NoError(t, err)
	require.Equal(t, dailyreport.OK, made.State)
	require.Equal(t, "2026-11-19", made.Date, "the organization's day")
	encoded, err := json.Marshal(made)
	require.NoError(t, err)
	var names struct {
		Metrics map[string]map[string]any
		Drift   map[string]any
	}
	require.NoError(t, json.Unmarshal(encoded, &names))
	require.Len(t, names.Metrics, 7)
	names.Metrics["drift"] = names.Drift
	for name, has := range names.Metrics {
		require.Contains(t, has, "baseline", name)
		for _, field := range []string{"healthy", "state", "remedy"} {
			require.NotEmpty(t, has[field], name+" "+field)
		}
	}
	require.Contains(t, names.Metrics["pending"], "oldestAgeSeconds")
	require.Contains(t, names.Metrics["latency"], "p95Seconds")
	require.Contains(t, names.Metrics["recoveredShare"], "value")
	require.Equal(t, map[string]any{"import_not_run": 0.0, "match_needed": 0.0}, names.Metrics["needsReview"]["byReason"])
	_, err = f.Make(t.Context(), f.store.Conn, "globex")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestReportCountsEachFigure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const pending, late, review = "created_at, next_attempt_at", "created_at, submitted_at", "created_at, submitted_at, next_lookup_at, review_reason"
	f.add(t, "pending", pending, `'2026-11-20T00:00:00Z', now()`)
	f.add(t, "pending", pending, `'2026-11-20T02:59:00Z', now()`)
	f.add(t, "submitted", late, `now(), '2026-11-19T02:59:59Z'`)
	f.add(t, "submitted", late, `now(), '2026-11-19T03:00:00Z'`) // not more than 24 hours
	f.add(t, "needs_review", review, `now(), now(), now(), 'match_needed'`)
	f.add(t, "needs_review", review, `now(), now(), now(), 'import_not_run'`)
	f.add(t, "needs_review", review, `now(), now(), now(), 'match_needed'`)
	f.add(t, "failed", "created_at", `now()`)
	const confirmed = "created_at, submitted_at, confirmed_at, virtuous_gift_id, recovery_path"
	for hours := range 20 {
		f.add(t, "confirmed", confirmed, fmt.Sprintf(`now(), '2026-11-18T00:00:00Z', '2026-11-18T00:00:00Z'::timestamptz + interval '%d hours', 1, NULL`, hours+1))
	}
	f.add(t, "confirmed", confirmed, `now(), '2026-11-18T00:00:00Z', '2026-11-18T10:30:00Z', 1, 'reconciliation_query'`)
	f.add(t, "confirmed", confirmed, `now(), '2026-11-10T00:00:00Z', '2026-11-13T02:59:59Z', 1, 'reconciliation_lookup'`) // before the window
	f.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, sync_state, content_hash, sealed, created_at, last_sync_at)
		VALUES ('acme', 1, 'live', 'conflict', '', '', now(), now()), ('acme', 2, 'live', 'partner_pending', '', '', now(), now())`)
	f.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
		created_at, status_at, updated_at) VALUES ('globex', '1', 'failed', 'G', '', '', '', now(), now(), now())`)
	made, err := f.Make(t.Context(), f.store.Conn, customer)
	require.NoError(t, err)
	got := made.Metrics
	require.EqualValues(t, 2, got.Pending.Value)
	require.EqualValues(t, 3*3600, *got.Pending.OldestAgeSeconds)
	require.Equal(t, dailyreport.Look, got.Pending.State)
	require.EqualValues(t, 1, got.SubmittedLate.Value)
	require.EqualValues(t, 24*3600+1, *got.SubmittedLate.OldestAgeSeconds)
	require.Equal(t, dailyreport.Look, got.SubmittedLate.State)
	require.EqualValues(t, 3, got.NeedsReview.Value)
	require.Equal(t, dailyreport.ByReason{ImportNotRun: 1, MatchNeeded: 2}, got.NeedsReview.ByReason)
	require.Equal(t, dailyreport.OK, got.NeedsReview.State)
	require.EqualValues(t, 1, got.Failed.Value)
	require.EqualValues(t, 1, got.Conflict.Value)
	require.EqualValues(t, 10*3600+1800, *got.Latency.MedianSeconds)
	require.EqualValues(t, 19*3600, *got.Latency.P95Seconds)
	require.Equal(t, dailyreport.OK, got.Latency.State)
	require.EqualValues(t, 21, got.RecoveredShare.Confirmed)
	require.EqualValues(t, 1, got.RecoveredShare.Recovered)
	require.InDelta(t, 0.0476, *got.RecoveredShare.Value, 1e-9)
	require.Equal(t, dailyreport.Look, got.RecoveredShare.State)
	require.Equal(t, dailyreport.Look, made.State)

	limits, err := dailyreport.ParseLimits("pending=1h/2h, needsReview=3/4,recoveredShare=0.05/0.05")
	require.NoError(t, err)
	f.Limits = limits
	made, err = f.Make(t.Context(), f.store.Conn, customer)
	require.NoError(t, err)
	require.Equal(t, dailyreport.Act, made.Metrics.Pending.State)
	require.Equal(t, dailyreport.OK, made.Metrics.RecoveredShare.State)
	require.Equal(t, dailyreport.Act, made.State)
}

func TestReportOfADayIsStoredAndReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := dailyreport.Of(t.Context(), f.store.Conn, customer, "2026-11-19")
	require.ErrorIs(t, err, store.ErrNotFound)
	first := f.makeAndStore(t)
	stored, err := dailyreport.Of(t.Context(), f.store.Conn, customer, "2026-11-19")
	require.NoError(t, err)
	require.Equal(t, first, stored)
	f.add(t, "failed", "created_at", `now()`)
	f.makeAndStore(t)
	stored, err = dailyreport.Of(t.Context(), f.store.Conn, customer, "2026-11-19")
	require.NoError(t, err)
	require.EqualValues(t, 1, stored.Metrics.Failed.Value)
}

func TestLimitsAreRead(t *testing.T) {
	t.Parallel()
	limits, err := dailyreport.ParseLimits("")
	require.NoError(t, err)
	require.Equal(t, dailyreport.DefaultLimits(), limits)
	limits, err = dailyreport.ParseLimits("latency=12h/30h")
	require.NoError(t, err)
	require.Equal(t, dailyreport.Limit{Look: 12 * time.Hour.Seconds(), Act: 30 * time.Hour.Seconds()}, limits.Latency)
	for _, bad := range []string{"late=1/2", "failed", "failed=1", "failed=2/1", "failed=-1/2", "failed=NaN/NaN", "pending=1/2", "failed=1h/2h"} {
		_, err := dailyreport.ParseLimits(bad)
		require.Error(t, err, bad)
	}
}

func TestFloorsAreRead(t *testing.T) {
	t.Parallel()
	floors, err := dailyreport.ParseFloors(" ")
	require.NoError(t, err)
	require.Equal(t, dailyreport.DefaultFloors(), floors)
	floors, err = dailyreport.ParseFloors("failed=20, latency=36h,drift=0")
	require.NoError(t, err)
	want := dailyreport.DefaultFloors()
	want.Failed, want.Latency, want.Drift = 20, 36*time.Hour.Seconds(), 0
	require.Equal(t, want, floors)
	for _, bad := range []string{"late=1", "failed", "failed=-1", "failed=NaN", "pending=2h", "latency=2", "failed=1/2"} {
		_, err := dailyreport.ParseFloors(bad)
		require.Error(t, err, bad)
	}
}
