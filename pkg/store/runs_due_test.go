package store_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func (f *fixture) park(t testing.TB, run store.Run, lease *store.Lease, delay time.Duration) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.ParkRun(ctx, run.ID, lease.Epoch, "destination_down", "", delay)
	})
	require.NoError(t, lease.Release(t.Context()))
}

func (f *fixture) woken(t testing.TB) []store.RunRef {
	t.Helper()
	f.moved(t)
	var refs []store.RunRef
	f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
		refs, err = tx.WakeParkedRuns(ctx, store.KindBackfill)
		return err
	})
	return refs
}

// moved does what a service does at its start and every minute.
func (f *fixture) moved(t testing.TB) {
	t.Helper()
	require.NoError(t, f.MoveRuns(t.Context(), store.KindBackfill))
}

func (f *fixture) unattended(t testing.TB, after int64, limit int32) []store.RunRef {
	t.Helper()
	f.moved(t)
	refs, err := f.UnattendedRuns(t.Context(), store.KindBackfill, after, limit)
	require.NoError(t, err)
	return refs
}

func TestAParkSpendsNoAttemptAndSaysWhenTheRunIsDue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")

	f.park(t, run, lease, 2*time.Second)

	parked := f.run(t, run.ID)
	require.Equal(t, store.RunParked, parked.State)
	require.True(t, parked.State.Open())
	require.Equal(t, "destination_down", parked.ParkReason)
	require.Equal(t, 1, parked.Parks)
	require.Zero(t, parked.Attempts)
	require.Equal(t, 2*time.Second, value[time.Duration](t, f, `SELECT due_at - rollcall_now() FROM all_runs WHERE id = $1`, run.ID))
	f.advance(t, 3*time.Second)
	require.Equal(t, -time.Second, value[time.Duration](t, f, `SELECT due_at - rollcall_now() FROM all_runs WHERE id = $1`, run.ID))
}

func TestAParkedRunIsWokenWhenItIsDueAndNotBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	f.park(t, run, lease, 2*time.Second)

	f.advance(t, 2*time.Second-time.Microsecond)
	require.Empty(t, f.woken(t))
	f.advance(t, time.Microsecond)
	require.Equal(t, []store.RunRef{{ID: run.ID, Customer: "acme", Kind: store.KindBackfill, Trace: "trace"}}, f.woken(t))
	require.Empty(t, f.woken(t), "once")

	now := f.run(t, run.ID)
	require.Equal(t, store.RunQueued, now.State)
	require.Equal(t, 1, now.Parks, "parks in a row count on: the next pause is longer")
	require.Equal(t, "destination_down", now.ParkReason)
}

func TestOfTwoWakersEachDueRunIsWokenByOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const parked = 40
	for i := range parked {
		run, lease := f.claimed(t, "c"+strconv.Itoa(i))
		f.park(t, run, lease, time.Second)
	}
	f.advance(t, time.Second)

	woken := make([][]store.RunRef, 4)
	atOnce(len(woken), func(i int) {
		err := f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			woken[i], err = tx.WakeParkedRuns(ctx, store.KindBackfill)
			return err
		})
		if err != nil {
			t.Errorf("wake: %v", err)
		}
	})

	wakers := map[string]int{}
	for _, refs := range woken {
		for _, ref := range refs {
			wakers[ref.Customer]++
		}
	}
	require.Len(t, wakers, parked)
	for customer, times := range wakers {
		require.Equal(t, 1, times, customer)
	}
}

func TestAWakerPassesByWhatAnotherIsWaking(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	f.park(t, run, lease, 0)

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		refs, err := tx.WakeParkedRuns(ctx, store.KindBackfill)
		require.Len(t, refs, 1)
		require.Empty(t, f.woken(t), "and does not wait for it")
		return err
	})

	require.Empty(t, f.woken(t))
}

func TestAWakingThatIsRolledBackLeavesTheRunParked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	f.park(t, run, lease, 0)

	err := f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		refs, err := tx.WakeParkedRuns(ctx, store.KindBackfill)
		require.NoError(t, err)
		require.Len(t, refs, 1)
		return context.Canceled
	})

	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, f.woken(t), 1, "another wakes it")
}

func TestARunHandedBackKeepsItsCursorAndItsAttempts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 7}}); err != nil {
			return err
		}
		return tx.HandBackRun(ctx, run.ID, lease.Epoch, time.Second)
	})
	handedBack := f.run(t, run.ID)
	require.Equal(t, store.RunParked, handedBack.State, "until a moment later")
	require.Empty(t, handedBack.ParkReason)
	require.NoError(t, lease.Release(t.Context()))

	next := f.lease(t, "acme")
	again, err := f.claim(t, "acme", next.Epoch)

	require.NoError(t, err)
	require.Equal(t, 7, again.NextPage)
	require.Equal(t, 1, again.Attempts)
}

func TestUnparkedRunIsDueAtOnceAndKeepsTheReasonOfItsAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	f.park(t, run, lease, time.Hour)
	unpark := func() (id int64, unparked bool) {
		f.do(t, func(ctx context.Context, tx *store.Tx) error {
			refs, err := tx.UnparkRuns(ctx, "acme", store.KindBackfill)
			if len(refs) > 0 {
				id, unparked = refs[0].ID, true
			}
			return err
		})
		return id, unparked
	}

	id, unparked := unpark()
	require.True(t, unparked)
	require.Equal(t, run.ID, id)
	_, unparked = unpark()
	require.False(t, unparked, "it is parked no more")

	now := f.run(t, run.ID)
	require.Equal(t, store.RunQueued, now.State)
	require.Zero(t, now.Parks)
	require.Equal(t, "destination_down", now.ParkReason, "the first page that is committed clears the condition by it")
	require.Empty(t, f.unattended(t, 0, 10), "its message is under way")
	f.advance(t, time.Minute)
	require.Len(t, f.unattended(t, 0, 10), 1)
}

func TestRunsThatNoWorkerHasAreFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	queued := f.queued(t, "queued")
	running, lease := f.claimed(t, "running")
	parked, parkedLease := f.claimed(t, "parked")
	f.park(t, parked, parkedLease, time.Second)
	finished, finishedLease := f.claimed(t, "finished")
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, finished, finishedLease.Epoch, store.RunCompleted, "")
	})

	f.advance(t, 20*time.Second)
	require.NoError(t, lease.Renew(t.Context()))
	f.advance(t, 20*time.Second)
	require.NoError(t, lease.Renew(t.Context()))
	f.advance(t, 20*time.Second)
	require.Equal(t, []store.RunRef{{ID: queued, Customer: "queued", Kind: store.KindBackfill, Trace: "trace"}}, f.unattended(t, 0, 10),
		"one that a live lease holds is attended")

	f.advance(t, 30*time.Second) // the worker died; the parked one is due, and waits for its waker
	require.Equal(t, []store.RunRef{
		{ID: queued, Customer: "queued", Kind: store.KindBackfill, Trace: "trace"}, {ID: running.ID, Customer: "running", Kind: store.KindBackfill, Trace: "trace"},
	}, f.unattended(t, 0, 10))

	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost)
	require.Equal(t, []store.RunRef{{ID: queued, Customer: "queued", Kind: store.KindBackfill, Trace: "trace"}}, f.unattended(t, 0, 1), "page by page")
	require.Equal(t, []store.RunRef{{ID: running.ID, Customer: "running", Kind: store.KindBackfill, Trace: "trace"}}, f.unattended(t, queued, 1))
	require.Empty(t, f.unattended(t, running.ID, 1))
}
