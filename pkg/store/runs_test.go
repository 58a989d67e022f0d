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
func (b *bed) queued(t testing.TB, customer string) int64 {
	t.Helper()
	var run int64
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		id, started, err := tx.StartRun(ctx, customer, "initial_backfill", "trace")
		run = id
		require.True(t, started)
		return err
	})
	return run
}

// claimed starts a run and claims it, with the lane.
func (b *bed) claimed(t testing.TB, customer string) (store.Run, *store.Lease) {
	t.Helper()
	id := b.queued(t, customer)
	lease := b.lease(t, customer)
	run, err := b.ClaimRun(t.Context(), id, lease.Epoch)
	require.NoError(t, err)
	return run, lease
}

func (b *bed) run(t testing.TB, id int64) store.Run {
	t.Helper()
	run, err := b.Run(t.Context(), id)
	require.NoError(t, err)
	return run
}

func TestOfRunsStartedAtOnceOneIsQueued(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for i := range 10 {
		customer := "c" + strconv.Itoa(i)
		var started atomic.Int32
		together(3, func(int) {
			err := b.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, ok, err := tx.StartRun(ctx, customer, "initial_backfill", "trace")
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
		require.Equal(t, 1, value[int](t, b, `SELECT count(*) FROM job_log WHERE customer_id = $1`, customer), "one line a run in the job log")
	}
}

func TestARunIsNotStartedWhileAnotherIsOpenAndIsAfterwards(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	again := func() (started bool) {
		b.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			_, started, err = tx.StartRun(ctx, "acme", "initial_backfill", "trace")
			return err
		})
		return started
	}
	require.False(t, again())

	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, run, lease.Epoch, store.RunCompleted, "")
	})

	require.True(t, again())
	latest, err := b.LatestRun(t.Context(), "acme")
	require.NoError(t, err)
	require.Greater(t, latest.ID, run.ID)
	runs, err := b.Runs(t.Context(), math.MaxInt64, 10)
	require.NoError(t, err)
	require.Equal(t, []int64{latest.ID, run.ID}, []int64{runs[0].ID, runs[1].ID}, "newest first")
}

func TestEveryClaimCountsUntilAPageIsCommitted(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, _ := b.claimed(t, "acme")
	require.Equal(t, 1, run.Attempts)
	require.Equal(t, store.RunRunning, run.State)
	require.Equal(t, 1, run.NextPage)

	b.advance(t, time.Minute) // the worker died
	lease := b.lease(t, "acme")
	run, err := b.ClaimRun(t.Context(), run.ID, lease.Epoch)
	require.NoError(t, err)
	require.Equal(t, 2, run.Attempts)

	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}, ScanStartedAt: time.Unix(100, 0)})
	})
	require.Zero(t, b.run(t, run.ID).Attempts)
}

func TestASleptHolderCannotClaimTheRunOfALaterOne(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	id := b.queued(t, "acme")
	slept := b.lease(t, "acme")
	b.advance(t, time.Minute)
	present := b.lease(t, "acme")
	run, err := b.ClaimRun(t.Context(), id, present.Epoch)
	require.NoError(t, err)

	_, err = b.ClaimRun(t.Context(), id, slept.Epoch)
	require.ErrorIs(t, err, store.ErrNotFound)

	require.NoError(t, b.InLane(t.Context(), present, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, present.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}})
	}), "the present holder's page is still its own")
}

func TestACommittedPageMovesTheCursorAndForgetsWhatCountedAgainstTheRun(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.ParkRun(ctx, run.ID, lease.Epoch, "destination_down", "", time.Second)
	})
	b.advance(t, time.Second)
	run, err := b.ClaimRun(t.Context(), run.ID, lease.Epoch)
	require.NoError(t, err)
	require.Equal(t, 1, run.Parks)
	require.Equal(t, "destination_down", run.ParkReason)
	scan, high, total := time.Unix(1000, 0), time.Unix(500, 0), int64(31)
	page := func(advance store.Advance) {
		b.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.AdvanceRun(ctx, run.ID, lease.Epoch, advance) })
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

	now := b.run(t, run.ID)
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
	b := newBed(t)
	run, slept := b.claimed(t, "acme")
	b.advance(t, time.Minute)
	present := b.lease(t, "acme")
	_, err := b.ClaimRun(t.Context(), run.ID, present.Epoch)
	require.NoError(t, err)
	before := b.run(t, run.ID)

	for name, act := range map[string]func(context.Context, *store.Tx) error{
		"advance": func(ctx context.Context, tx *store.Tx) error {
			return tx.AdvanceRun(ctx, run.ID, slept.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 9}})
		},
		"park":    func(ctx context.Context, tx *store.Tx) error { return tx.ParkRun(ctx, run.ID, slept.Epoch, "x", "", 0) },
		"requeue": func(ctx context.Context, tx *store.Tx) error { return tx.RequeueRun(ctx, run.ID, slept.Epoch) },
		"finish": func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishRun(ctx, run, slept.Epoch, store.RunCompleted, "")
		},
	} {
		require.ErrorIs(t, b.InTx(t.Context(), act), store.ErrLaneLost, name)
		require.Equal(t, before, b.run(t, run.ID), name)
	}
}

func TestAFinishedRunEndsItsLineInTheJobLog(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for customer, end := range map[string]struct {
		state   store.RunState
		code    string
		outcome string
	}{
		"acme":   {store.RunCompleted, "", "success"},
		"globex": {store.RunFailed, "too_many_attempts", "failed"},
	} {
		run, lease := b.claimed(t, customer)
		run.Processed, run.Failures = 40, 2
		finish := func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishRun(ctx, run, lease.Epoch, end.state, end.code)
		}
		b.do(t, finish)

		require.Equal(t, end.state, b.run(t, run.ID).State)
		require.NotNil(t, b.run(t, run.ID).CompletedAt)
		line := value[string](t, b, `SELECT concat_ws(' ', outcome, processed_count, failure_count, coalesce(error_code, ''), completed_at IS NOT NULL)
			FROM job_log WHERE id = $1`, run.JobID)
		require.Equal(t, end.outcome+" 40 2 "+end.code+" t", line)
		require.ErrorIs(t, b.InTx(t.Context(), finish), store.ErrLaneLost, "it ends once")
		_, err := b.ClaimRun(t.Context(), run.ID, lease.Epoch)
		require.ErrorIs(t, err, store.ErrNotFound, "and is not worked again")
		_, err = b.OpenRun(t.Context(), customer)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}

func TestACancelledRunKeepsWhatItHadDone(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}, Processed: 15, Failures: 1})
	})
	cancel := func(ctx context.Context, tx *store.Tx) error { return tx.CancelOpenRun(ctx, "acme", "offboarded") }

	b.do(t, cancel)
	b.do(t, cancel) // none is open any more: no error

	require.Equal(t, store.RunCancelled, b.run(t, run.ID).State)
	require.False(t, b.run(t, run.ID).State.Open())
	require.Equal(t, "failed offboarded 15 1", value[string](t, b, `SELECT concat_ws(' ', outcome, error_code, processed_count, failure_count) FROM job_log`))
	err := b.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 3}})
	})
	require.ErrorIs(t, err, store.ErrLaneLost, "its worker commits nothing more")
}
