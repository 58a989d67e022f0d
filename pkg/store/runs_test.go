package store_test

import (
	"context"
	"math"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// queued starts a run.
func (f *fixture) queued(t testing.TB, customer string) int64 {
	t.Helper()
	var run int64
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		id, started, err := tx.StartBackfill(ctx, customer, "initial_backfill", "trace")
		run = id
		require.True(t, started)
		return err
	})
	return run
}

// claimed starts a run and claims it, with the lane.
func (f *fixture) claimed(t testing.TB, customer string) (store.Run, *store.Lease) {
	t.Helper()
	f.queued(t, customer)
	lease := f.lease(t, customer)
	run, err := f.claim(t, customer, lease.Epoch)
	require.NoError(t, err)
	return run, lease
}

// claim claims the customer's backfill.
func (f *fixture) claim(t testing.TB, customer string, epoch int64) (run store.Run, err error) {
	t.Helper()
	err = f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		run, err = tx.ClaimRun(ctx, customer, store.KindBackfill, epoch)
		return err
	})
	return run, err
}

func (f *fixture) run(t testing.TB, id int64) store.Run {
	t.Helper()
	run, err := f.Backfill(t.Context(), id)
	require.NoError(t, err)
	return run
}

func TestOfRunsStartedAtOnceOneIsQueued(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 10 {
		customer := "c" + strconv.Itoa(i)
		var started atomic.Int32
		atOnce(3, func(int) {
			err := f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, ok, err := tx.StartBackfill(ctx, customer, "initial_backfill", "trace")
				if ok {
					started.Add(1)
				}
				return err
			})
			if err != nil {
				t.Errorf("start run: %v", err)
			}
		})
		require.Equal(t, int32(1), started.Load())
		require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM job_log WHERE customer_id = $1`, customer), "one line a run in the job log")
	}
}

func TestARunIsNotStartedWhileAnotherIsOpenAndIsAfterwards(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	again := func() (started bool) {
		f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			_, started, err = tx.StartBackfill(ctx, "acme", "initial_backfill", "trace")
			return err
		})
		return started
	}
	require.False(t, again())

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, run, lease.Epoch, store.RunCompleted, "")
	})

	require.True(t, again())
	latest, err := f.LatestBackfill(t.Context(), "acme")
	require.NoError(t, err)
	require.Greater(t, latest.ID, run.ID)
	runs, err := f.Backfills(t.Context(), math.MaxInt64, 10)
	require.NoError(t, err)
	require.Equal(t, []int64{latest.ID, run.ID}, []int64{runs[0].ID, runs[1].ID}, "newest first")
}

func TestEveryClaimCountsUntilAPageIsCommitted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, _ := f.claimed(t, "acme")
	require.Equal(t, 1, run.Attempts)
	require.Equal(t, store.RunRunning, run.State)
	require.Equal(t, 1, run.NextPage)

	f.advance(t, time.Minute) // the worker died
	lease := f.lease(t, "acme")
	run, err := f.claim(t, "acme", lease.Epoch)
	require.NoError(t, err)
	require.Equal(t, 2, run.Attempts)

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}, ScanStartedAt: time.Unix(100, 0)})
	})
	require.Zero(t, f.run(t, run.ID).Attempts)
}

func TestASleptHolderCannotClaimTheRunOfALaterOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.queued(t, "acme")
	slept := f.lease(t, "acme")
	f.advance(t, time.Minute)
	present := f.lease(t, "acme")
	run, err := f.claim(t, "acme", present.Epoch)
	require.NoError(t, err)

	_, err = f.claim(t, "acme", slept.Epoch)
	require.ErrorIs(t, err, store.ErrNotFound)

	require.NoError(t, f.InLane(t.Context(), present, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, present.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}})
	}), "the present holder's page is still its own")
}

func TestACommittedPageMovesTheCursorAndForgetsWhatCountedAgainstTheRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.ParkRun(ctx, run.ID, lease.Epoch, "destination_down", "", time.Second)
	})
	f.advance(t, time.Second)
	run, err := f.claim(t, "acme", lease.Epoch)
	require.NoError(t, err)
	require.Equal(t, 1, run.Parks)
	require.Equal(t, "destination_down", run.ParkReason)
	scan, high, total := time.Unix(1000, 0), time.Unix(500, 0), int64(31)
	page := func(advance store.Advance) {
		f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.AdvanceRun(ctx, run.ID, lease.Epoch, advance) })
	}

	page(store.Advance{
		Cursor: store.Cursor{NextPage: 2, LastTotal: &total}, ScanStartedAt: scan, HighestSeen: &high,
		Processed: 15, Written: 12, Skipped: 2, Failures: 1, Active: 1500 * time.Millisecond,
	})
	lower := high.Add(-time.Hour)
	page(store.Advance{
		Cursor: store.Cursor{NextPage: 3, LastTotal: &total}, ScanStartedAt: scan.Add(time.Minute), HighestSeen: &lower,
		Processed: 15, Written: 15, Active: 500 * time.Millisecond,
	})

	now := f.run(t, run.ID)
	require.Equal(t, 3, now.NextPage)
	require.True(t, scan.Equal(*now.ScanStartedAt), "the scan began with its first page")
	require.True(t, high.Equal(*now.HighestSeen), "the highest seen does not fall")
	require.Equal(t, total, *now.LastTotal)
	require.Equal(t, []int64{2, 30, 27, 2, 1}, []int64{now.Pages, now.Processed, now.Written, now.Skipped, now.Failures})
	require.InDelta(t, 2.0, now.ActiveSeconds, 0.001)
	require.Zero(t, now.Attempts)
	require.Zero(t, now.Parks)
	require.Empty(t, now.ParkReason)
}

func TestARunObeysOnlyTheLeaseThatClaimedIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, slept := f.claimed(t, "acme")
	f.advance(t, time.Minute)
	present := f.lease(t, "acme")
	_, err := f.claim(t, "acme", present.Epoch)
	require.NoError(t, err)
	before := f.run(t, run.ID)

	for name, act := range map[string]func(context.Context, *store.Tx) error{
		"advance": func(ctx context.Context, tx *store.Tx) error {
			return tx.AdvanceRun(ctx, run.ID, slept.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 9}})
		},
		"park": func(ctx context.Context, tx *store.Tx) error { return tx.ParkRun(ctx, run.ID, slept.Epoch, "x", "", 0) },
		"requeue": func(ctx context.Context, tx *store.Tx) error {
			return tx.HandBackRun(ctx, run.ID, slept.Epoch, time.Second)
		},
		"finish": func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishRun(ctx, run, slept.Epoch, store.RunCompleted, "")
		},
	} {
		require.ErrorIs(t, f.InTx(t.Context(), act), store.ErrLaneLost, name)
		require.Equal(t, before, f.run(t, run.ID), name)
	}
}

func TestAFinishedRunEndsItsLineInTheJobLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for customer, end := range map[string]struct {
		state   store.RunState
		code    string
		outcome string
	}{
		"acme":   {store.RunCompleted, "", "success"},
		"globex": {store.RunFailed, "too_many_attempts", "failed"},
	} {
		run, lease := f.claimed(t, customer)
		run.Processed, run.Failures = 40, 2
		finish := func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishRun(ctx, run, lease.Epoch, end.state, end.code)
		}
		f.do(t, finish)

		require.Equal(t, end.state, f.run(t, run.ID).State)
		require.NotNil(t, f.run(t, run.ID).CompletedAt)
		line := value[string](t, f, `SELECT concat_ws(' ', outcome, processed_count, failure_count, coalesce(error_code, ''), completed_at IS NOT NULL)
			FROM job_log WHERE id = $1`, run.JobID)
		require.Equal(t, end.outcome+" 40 2 "+end.code+" t", line)
		require.ErrorIs(t, f.InTx(t.Context(), finish), store.ErrLaneLost, "it ends once")
		_, err := f.claim(t, customer, lease.Epoch)
		require.ErrorIs(t, err, store.ErrNotFound, "and is not worked again")
		_, err = f.OpenRun(t.Context(), customer, store.KindBackfill)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}

func TestACancelledRunKeepsWhatItHadDone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}, Processed: 15, Failures: 1})
	})
	cancel := func(ctx context.Context, tx *store.Tx) error { return tx.CancelBackfill(ctx, "acme", "offboarded") }

	f.do(t, cancel)
	f.do(t, cancel) // none is open any more: no error

	require.Equal(t, store.RunCancelled, f.run(t, run.ID).State)
	require.False(t, f.run(t, run.ID).State.Open())
	require.Equal(t, "failed offboarded 15 1", value[string](t, f, `SELECT concat_ws(' ', outcome, error_code, processed_count, failure_count) FROM job_log`))
	err := f.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 3}})
	})
	require.ErrorIs(t, err, store.ErrLaneLost, "its worker commits nothing more")
}
