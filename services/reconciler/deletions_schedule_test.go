package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/services/reconciler/internal/deletion"
	"rollcall.dev/services/reconciler/internal/night"
)

func TestDeletionScansAreWeeklyAndSkipACustomerThatIsHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("globex")
	s := &deletion.Scheduler{Store: f.store, Logger: zap.NewNop(), Kind: (&deletion.Searcher{}).Kind()}
	schedule := func() []string {
		t.Helper()
		_, err := s.Schedule(t.Context())
		require.NoError(t, err)
		return values[string](f, `DELETE FROM runs WHERE kind = 'user_deletions' RETURNING customer_id`)
	}
	require.Empty(t, schedule(), "the first scan waits for the customer's night")
	next := night.NextWeekly("acme", time.UTC, morning)
	require.Equal(t, []time.Time{next}, values[time.Time](f, `SELECT next_deletion_scan_at AT TIME ZONE 'UTC' FROM sync_configs WHERE customer_id = 'acme'`))
	require.Less(t, next.Sub(morning), 7*24*time.Hour+time.Minute)

	f.clock(next)
	require.Contains(t, schedule(), "acme")
	require.NotContains(t, schedule(), "acme")
	f.exec(`INSERT INTO deletion_runs (customer_id, entity, job_id, trace_id, state, mapped, started_at, held_at)
		VALUES ('acme', 'user', 1, 't', 'held', 5, now(), now())`)
	f.clock(next.Add(7 * 24 * time.Hour))
	require.NotContains(t, schedule(), "acme")
	f.exec(`UPDATE deletion_runs SET state = 'rejected'`)
	f.clock(next.Add(14 * 24 * time.Hour))
	require.Contains(t, schedule(), "acme")
}

func TestLateDeletionScanWaitsForTheNextNight(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &deletion.Scheduler{Store: f.store, Logger: zap.NewNop(), Kind: (&deletion.Searcher{}).Kind()}
	started := func(at time.Time) int {
		t.Helper()
		f.clock(at)
		_, err := s.Schedule(t.Context())
		require.NoError(t, err)
		return len(values[string](f, `DELETE FROM runs WHERE kind = 'user_deletions' RETURNING customer_id`))
	}
	due := func() time.Time {
		return values[time.Time](f, `SELECT next_deletion_scan_at AT TIME ZONE 'UTC' FROM sync_configs`)[0]
	}
	require.Zero(t, started(morning))
	f.exec(`UPDATE sync_configs SET paused_at = rollcall_now()`)
	back := due().Add(3 * 24 * time.Hour).Truncate(24 * time.Hour).Add(10 * time.Hour)
	require.Zero(t, started(back))
	f.exec(`UPDATE sync_configs SET paused_at = NULL`)

	require.Zero(t, started(back), "it would read all users by day")
	tonight := night.Next("acme", time.UTC, back)
	require.Equal(t, tonight, due())
	require.Equal(t, 1, started(tonight.Add(time.Hour)), "an hour late is the same night")
	require.Equal(t, night.NextWeekly("acme", time.UTC, tonight.Add(time.Hour)), due())
}

func TestDeletionScanKeepsOutOfQuietHours(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`UPDATE sync_configs SET quiet_hours = '{"from":"08:00","to":"18:00","zone":"UTC"}'`)
	f.addPeople(3)
	f.start()
	f.publish(deletionSubject, plain)
	require.Eventually(t, func() bool {
		got := values[string](f, `SELECT concat_ws(' ', state, park_reason) FROM runs`)
		return slices.Equal(got, []string{"parked quiet_hours"})
	}, soon, 20*time.Millisecond)
	asked, _ := f.requests()
	require.Empty(t, asked)
}

func TestOldCandidatesAreDeleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(30)
	f.start()
	f.scanDeletions(1)
	f.remove(4)
	f.scanDeletions(2)
	for _, want := range [][2]int{{29, 1}, {31, 0}} { // days, and how many are left
		f.clock(morning.Add(time.Duration(want[0]) * 24 * time.Hour))
		_, err := f.store.ForgetDeletions(t.Context(), 30*24*time.Hour)
		require.NoError(t, err)
		require.Equal(t, []int{want[1]}, values[int](f, `SELECT count(*) FROM deletion_candidates`), "after %d days", want[0])
	}
	require.Equal(t, []int{0}, values[int](f, `SELECT count(*) FROM deletion_runs`))
}

// A scan may wait for two weeks until it is approved, and its deletions can be undone for a week after that.
func TestApprovedCandidatesAreKeptUntilTheyAreDeletedAndCannotBeUndone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const week = 7 * 24 * time.Hour
	f.exec(`INSERT INTO deletion_runs (customer_id, entity, job_id, trace_id, state, mapped, started_at, held_at)
		VALUES ('acme', 'user', 1, 't', 'held', 30, rollcall_now(), rollcall_now())`)
	f.exec(`INSERT INTO deletion_candidates (run_id, record_id, customer_id, state, source_updated_at, sealed, noted_at)
		SELECT r.id, n::text, 'acme', 'confirmed', now(), '', rollcall_now() FROM deletion_runs r, generate_series(71, 99) n`)
	forget := func(after time.Duration) int {
		f.clock(morning.Add(after))
		_, err := f.store.ForgetDeletions(t.Context(), week)
		require.NoError(t, err)
		return values[int](f, `SELECT count(*) FROM deletion_candidates`)[0]
	}
	require.Equal(t, 29, forget(10*24*time.Hour))
	f.exec(`UPDATE deletion_runs SET state = 'approved', decided_at = rollcall_now() WHERE state = 'held'`)
	require.Equal(t, 29, forget(16*24*time.Hour))
	f.exec(`UPDATE deletion_runs SET state = 'done' WHERE state = 'approved'`)
	f.exec(`UPDATE deletion_candidates SET state = 'deleted', deleted_at = rollcall_now() WHERE record_id < '80'`)
	f.exec(`UPDATE deletion_candidates SET state = 'found' WHERE record_id >= '80'`)
	require.Equal(t, 9, forget(22*24*time.Hour), "those that were deleted")
	require.Equal(t, 0, forget(24*24*time.Hour))
}
