package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

// schedule looks at the schedule until nobody is due, as the service does each second.
func (h *house) schedule() {
	h.t.Helper()
	s := &scheduler{store: h.store, logger: zap.NewNop(), kind: userDailyKind()}
	for {
		more, err := s.schedule(h.t.Context())
		require.NoError(h.t, err)
		if !more {
			return
		}
	}
}

// end has the runs that were begun end, at once.
func (h *house) end() (ended int) {
	h.t.Helper()
	return len(values[int64](h, `DELETE FROM sync_runs RETURNING id`))
}

func (h *house) turn(customer string) time.Time {
	h.t.Helper()
	return values[time.Time](h, `SELECT next_reconcile_at FROM sync_configs WHERE customer_id = $1`, customer)[0].UTC()
}

// begun is acme's first reconciliation, which has just begun.
func (h *house) begun() store.SyncRun {
	h.t.Helper()
	h.schedule()
	h.clock(h.turn("acme"))
	h.schedule()
	run, err := h.store.OpenSyncRun(h.t.Context(), "acme", store.KindUserDaily)
	require.NoError(h.t, err)
	return run
}

func TestACustomerWithoutATurnGetsItsNext(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.schedule()
	require.Zero(t, h.end(), "nothing is begun in the middle of a day")
	require.Equal(t, nextNight("acme", time.UTC, morning), h.turn("acme"))
}

func TestEachNightIsWorkedOnceInItsTurn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.exec(`UPDATE sync_configs SET quiet_hours = '{"from":"08:00","to":"18:00","zone":"Asia/Tokyo"}'`)
	h.schedule()
	for range 4 {
		turn := h.turn("acme")
		h.clock(turn.Add(-time.Minute))
		h.schedule()
		require.Zero(t, h.end())

		h.clock(turn)
		h.schedule()
		h.schedule()

		run, err := h.store.OpenSyncRun(t.Context(), "acme", store.KindUserDaily)
		require.NoError(t, err)
		require.Equal(t, dayBefore(turn), run.UpdatedAfter.UTC())
		require.Equal(t, dayBefore(turn), run.Day.UTC())
		h.exec(`INSERT INTO reconciliation_runs (customer_id, type, date, job_id, expected_count, gap_count, started_at, completed_at)
			SELECT customer_id, 'user_daily', day, job_id, 0, 0, at, at FROM sync_runs, rollcall_now() at`)
		require.Equal(t, 1, h.end())
		require.WithinDuration(t, turn.Add(24*time.Hour), h.turn("acme"), time.Second)
	}
	require.Equal(t, []int{4}, values[int](h, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.reconcile.user_daily.acme'`))
}

func TestNightsThatWereMissedAreWorkedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.schedule()
	missed := h.turn("acme")
	back := missed.Add(3*24*time.Hour + 8*time.Hour)
	h.clock(back)

	h.schedule()
	h.schedule()

	run, err := h.store.OpenSyncRun(t.Context(), "acme", store.KindUserDaily)
	require.NoError(t, err)
	require.Equal(t, dayBefore(missed), run.UpdatedAfter.UTC(), "nobody who changed meanwhile is left out")
	require.Equal(t, dayBefore(back), run.Day.UTC())
	require.Equal(t, 1, h.end())
	require.True(t, h.turn("acme").After(back))
	h.schedule()
	require.Zero(t, h.end())
}

func TestATurnThatComesWhileTheLastIsUnderWayIsNotQueued(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.schedule()
	for range 2 {
		h.clock(h.turn("acme"))
		h.schedule()
	}
	require.Equal(t, 1, h.end())
}

func TestManyCustomersAreScheduledABatchAtATime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at, next_reconcile_at)
		SELECT 'many-' || i, 'https://crm.example', '{"kind":"rest"}', rollcall_now(), now(), rollcall_now(), rollcall_now() - i * interval '10 minutes'
		FROM generate_series(1, 250) i`)
	h.exec(`UPDATE sync_configs SET quiet_hours = '{"zone":"Atlantis/Poseidonis"}' WHERE customer_id = 'many-7'`)
	h.exec(`INSERT INTO sync_checkpoints SELECT customer_id, 'user_sync', onboarded_at, onboarded_at FROM sync_configs WHERE customer_id LIKE 'many-%'`)
	h.schedule()
	require.Equal(t, 250, h.end())
	for i := range 250 {
		customer := fmt.Sprintf("many-%d", i+1)
		require.True(t, h.turn(customer).After(morning), customer)
	}
}

func TestTheServiceWorksWhoseTurnHasCome(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.change(morning, "a", 1)
	h.schedule()
	h.clock(h.turn("acme").Add(-2 * time.Second))
	h.start()
	h.reconciledTimes("acme", 1)
	require.Equal(t, []int{1}, values[int](h, `SELECT count(*) FROM user_mappings`))
}

func TestTheDayOfAReconciliationThatWasGivenUpIsReadByTheNext(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	run := h.begun()
	h.exec(`UPDATE sync_runs SET attempts = 10`) // as one that was claimed too often
	h.exec(`UPDATE sync_configs SET next_poll_at = rollcall_now() + interval '1 year'`)
	stop := h.start()
	require.Eventually(t, func() bool {
		return len(values[string](h, `SELECT outcome FROM job_log WHERE job = 'user_daily' AND outcome = 'failed'`)) == 1
	}, soon, 20*time.Millisecond)
	stop()

	h.clock(h.turn("acme"))
	h.schedule()

	next, err := h.store.OpenSyncRun(t.Context(), "acme", store.KindUserDaily)
	require.NoError(t, err)
	require.False(t, next.UpdatedAfter.After(run.UpdatedAfter), "%s was reconciled by nobody", run.UpdatedAfter.UTC().Format(time.DateOnly))
}

func TestAReconciliationByHandBringsTheDaysThatWereGivenUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	run := h.begun()
	require.Equal(t, 1, h.end()) // given up
	h.clock(h.turn("acme").AddDate(0, 0, 2))

	require.NoError(t, h.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		customer, err := tx.Customer(ctx, "acme")
		require.NoError(t, err)
		_, err = startByHand(ctx, tx, customer)
		return err
	}))
	byHand, err := h.store.OpenSyncRun(t.Context(), "acme", store.KindUserDaily)
	require.NoError(t, err)
	require.Equal(t, run.UpdatedAfter, byHand.UpdatedAfter)
	require.True(t, byHand.Day.After(run.Day.AddDate(0, 0, 2)))
}
