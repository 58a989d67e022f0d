package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
	"rollcall.dev/services/reconciler/internal/night"
)

// schedule runs the scheduler until no customer is due, as the service does each second.
func (f *fixture) schedule() {
	f.t.Helper()
	s := &scheduler{store: f.store, logger: zap.NewNop(), kind: userDailyKind()}
	for {
		more, err := s.schedule(f.t.Context())
		require.NoError(f.t, err)
		if !more {
			return
		}
	}
}

// endRuns ends the runs in progress.
func (f *fixture) endRuns() (ended int) {
	f.t.Helper()
	return len(values[int64](f, `DELETE FROM runs RETURNING id`))
}

func (f *fixture) nextReconcile(customer string) time.Time {
	f.t.Helper()
	return values[time.Time](f, `SELECT next_reconcile_at FROM sync_configs WHERE customer_id = $1`, customer)[0].UTC()
}

// startedRun returns acme's first reconciliation, which has just started.
func (f *fixture) startedRun() store.Run {
	f.t.Helper()
	f.schedule()
	f.clock(f.nextReconcile("acme"))
	f.schedule()
	run, err := f.store.OpenRun(f.t.Context(), "acme", store.KindUserDaily)
	require.NoError(f.t, err)
	return run
}

func TestCustomerWithoutNextTimeGetsOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.schedule()
	require.Zero(t, f.endRuns(), "no run may start in the middle of a day")
	require.Equal(t, night.Next("acme", time.UTC, morning), f.nextReconcile("acme"))
}

func TestEachNightHasOneReconciliation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`UPDATE sync_configs SET quiet_hours = '{"from":"08:00","to":"18:00","zone":"Asia/Tokyo"}'`)
	f.schedule()
	for range 4 {
		due := f.nextReconcile("acme")
		f.clock(due.Add(-time.Minute))
		f.schedule()
		require.Zero(t, f.endRuns())

		f.clock(due)
		f.schedule()
		f.schedule()

		run, err := f.store.OpenRun(t.Context(), "acme", store.KindUserDaily)
		require.NoError(t, err)
		require.Equal(t, dayBefore(due), run.UpdatedAfter.UTC())
		require.Equal(t, dayBefore(due), run.Day.UTC())
		f.exec(`INSERT INTO reconciliation_runs (customer_id, type, date, job_id, expected_count, gap_count, started_at, completed_at)
			SELECT customer_id, 'user_daily', day, job_id, 0, 0, at, at FROM runs, rollcall_now() at`)
		require.Equal(t, 1, f.endRuns())
		require.WithinDuration(t, due.Add(24*time.Hour), f.nextReconcile("acme"), time.Second)
	}
	require.Equal(t, []int{4}, values[int](f, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.reconcile.user_daily.acme'`))
}

func TestMissedNightsAreReconciledByOneRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.schedule()
	missed := f.nextReconcile("acme")
	back := missed.Add(3*24*time.Hour + 8*time.Hour)
	f.clock(back)

	f.schedule()
	f.schedule()

	run, err := f.store.OpenRun(t.Context(), "acme", store.KindUserDaily)
	require.NoError(t, err)
	require.Equal(t, dayBefore(missed), run.UpdatedAfter.UTC(), "no change since the missed night may be left out")
	require.Equal(t, dayBefore(back), run.Day.UTC())
	require.Equal(t, 1, f.endRuns())
	require.True(t, f.nextReconcile("acme").After(back))
	f.schedule()
	require.Zero(t, f.endRuns())
}

func TestNoSecondReconciliationStartsWhileOneIsInProgress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.schedule()
	for range 2 {
		f.clock(f.nextReconcile("acme"))
		f.schedule()
	}
	require.Equal(t, 1, f.endRuns())
}

func TestManyCustomersAreScheduledInBatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at, next_reconcile_at)
		SELECT 'many-' || i, 'https://crm.example', '{"kind":"rest"}', rollcall_now(), now(), rollcall_now(), rollcall_now() - i * interval '10 minutes'
		FROM generate_series(1, 250) i`)
	f.exec(`UPDATE sync_configs SET quiet_hours = '{"zone":"Atlantis/Poseidonis"}' WHERE customer_id = 'many-7'`)
	f.exec(`INSERT INTO sync_checkpoints SELECT customer_id, 'user_sync', onboarded_at, onboarded_at FROM sync_configs WHERE customer_id LIKE 'many-%'`)
	f.schedule()
	require.Equal(t, 250, f.endRuns())
	for i := range 250 {
		customer := fmt.Sprintf("many-%d", i+1)
		require.True(t, f.nextReconcile(customer).After(morning), customer)
	}
}

func TestServiceReconcilesDueCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.change(morning, "a", 1)
	f.schedule()
	f.clock(f.nextReconcile("acme").Add(-2 * time.Second))
	f.start()
	f.waitReconciled("acme", 1)
	require.Equal(t, []int{1}, values[int](f, `SELECT count(*) FROM user_mappings`))
}

func TestNextReconciliationReadsDayOfGivenUpOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := f.startedRun()
	f.exec(`UPDATE runs SET attempts = 10`) // like a run that was claimed too often
	f.exec(`UPDATE sync_configs SET next_poll_at = rollcall_now() + interval '1 year'`)
	stop := f.start()
	require.Eventually(t, func() bool {
		return len(values[string](f, `SELECT outcome FROM job_log WHERE job = 'user_daily' AND outcome = 'failed'`)) == 1
	}, soon, 20*time.Millisecond)
	stop()

	f.clock(f.nextReconcile("acme"))
	f.schedule()

	next, err := f.store.OpenRun(t.Context(), "acme", store.KindUserDaily)
	require.NoError(t, err)
	require.False(t, next.UpdatedAfter.After(run.UpdatedAfter), "no run has reconciled %s", run.UpdatedAfter.UTC().Format(time.DateOnly))
}

func TestReconciliationByHandReadsDaysOfGivenUpOnes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := f.startedRun()
	require.Equal(t, 1, f.endRuns()) // given up
	f.clock(f.nextReconcile("acme").AddDate(0, 0, 2))

	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		customer, err := tx.Customer(ctx, "acme")
		require.NoError(t, err)
		return startByHand(ctx, tx, customer)
	}))
	byHand, err := f.store.OpenRun(t.Context(), "acme", store.KindUserDaily)
	require.NoError(t, err)
	require.Equal(t, run.UpdatedAfter, byHand.UpdatedAfter)
	require.True(t, byHand.Day.After(run.Day.AddDate(0, 0, 2)))
}

func TestLateReconciliationReadsFromTheDayBeforeItWasDue(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		moment, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return moment
	}
	for name, c := range map[string]struct{ now, due, lastReconciled, since string }{
		"in time":                {"2026-03-02T01:00:01Z", "2026-03-02T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"hours late":             {"2026-03-02T23:00:00Z", "2026-03-02T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"three days late":        {"2026-03-05T10:00:00Z", "2026-03-02T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"before midnight":        {"2026-03-02T00:00:01Z", "2026-03-01T23:59:59Z", "2026-02-27T00:00:00Z", "2026-02-28T00:00:00Z"},
		"far too late":           {"2026-12-05T10:00:00Z", "2026-03-02T01:00:00Z", "2026-02-28T00:00:00Z", "2026-11-03T00:00:00Z"},
		"two runs were given up": {"2026-03-04T01:00:01Z", "2026-03-04T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"requested by hand":      {"2026-03-02T01:00:01Z", "2026-03-02T01:00:00Z", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		"before it was due":      {"2026-03-02T01:00:00Z", "2026-03-04T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, at(c.since), sinceOf(at(c.now), at(c.due), at(c.lastReconciled)))
		})
	}
}
