package store_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func (b *bed) park(t testing.TB, run store.Run, lease *store.Lease, delay time.Duration) {
	t.Helper()
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.ParkRun(ctx, run.ID, lease.Epoch, "destination_down", "", delay)
	})
	require.NoError(t, lease.Release(t.Context()))
}

func (b *bed) woken(t testing.TB) []store.RunRef {
	t.Helper()
	var refs []store.RunRef
	b.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
		refs, err = tx.WakeParkedRuns(ctx)
		return err
	})
	return refs
}

func (b *bed) unattended(t testing.TB, after int64, limit int32) []store.RunRef {
	t.Helper()
	refs, err := b.UnattendedRuns(t.Context(), after, limit)
	require.NoError(t, err)
	return refs
}

func TestAParkSpendsNoAttemptAndSaysWhenTheRunIsDue(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")

	b.park(t, run, lease, 2*time.Second)

	parked := b.run(t, run.ID)
	require.Equal(t, store.RunParked, parked.State)
	require.True(t, parked.State.Open())
	require.Equal(t, "destination_down", parked.ParkReason)
	require.Equal(t, 1, parked.Parks)
	require.Zero(t, parked.Attempts)
	due, err := b.RunDueIn(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, due)
	b.advance(t, 3*time.Second)
	due, err = b.RunDueIn(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, -time.Second, due)
}

func TestAParkedRunIsWokenWhenItIsDueAndNotBefore(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	b.park(t, run, lease, 2*time.Second)

	b.advance(t, 2*time.Second-time.Microsecond)
	require.Empty(t, b.woken(t))
	b.advance(t, time.Microsecond)
	require.Equal(t, []store.RunRef{{ID: run.ID, Customer: "acme"}}, b.woken(t))
	require.Empty(t, b.woken(t), "once")

	now := b.run(t, run.ID)
	require.Equal(t, store.RunQueued, now.State)
	require.Equal(t, 1, now.Parks, "parks in a row count on: the next pause is longer")
	require.Equal(t, "destination_down", now.ParkReason)
}

func TestOfTwoWakersEachDueRunIsWokenByOne(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const parked = 40
	for i := range parked {
		run, lease := b.claimed(t, "c"+strconv.Itoa(i))
		b.park(t, run, lease, time.Second)
	}
	b.advance(t, time.Second)

	woken := make([][]store.RunRef, 4)
	together(len(woken), func(i int) {
		err := b.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			woken[i], err = tx.WakeParkedRuns(ctx)
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
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	b.park(t, run, lease, 0)

	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		refs, err := tx.WakeParkedRuns(ctx)
		require.Len(t, refs, 1)
		require.Empty(t, b.woken(t), "and does not wait for it")
		return err
	})

	require.Empty(t, b.woken(t))
}

func TestAWakingThatIsRolledBackLeavesTheRunParked(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	b.park(t, run, lease, 0)

	err := b.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		refs, err := tx.WakeParkedRuns(ctx)
		require.NoError(t, err)
		require.Len(t, refs, 1)
		return context.Canceled
	})

	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, b.woken(t), 1, "another wakes it")
}

func TestARunHandedBackKeepsItsCursorAndItsAttempts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 7}}); err != nil {
			return err
		}
		return tx.RequeueRun(ctx, run.ID, lease.Epoch)
	})
	require.Equal(t, store.RunQueued, b.run(t, run.ID).State)
	require.NoError(t, lease.Release(t.Context()))

	next := b.lease(t, "acme")
	again, err := b.ClaimRun(t.Context(), run.ID, next.Epoch)

	require.NoError(t, err)
	require.Equal(t, 7, again.NextPage)
	require.Equal(t, 1, again.Attempts)
}

func TestAnUnparkedRunIsDueAtOnceAndKeepsTheReasonThatPeopleWereToldOf(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	b.park(t, run, lease, time.Hour)
	unpark := func() (id int64, unparked bool) {
		b.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			id, unparked, err = tx.UnparkRun(ctx, "acme")
			return err
		})
		return id, unparked
	}

	id, unparked := unpark()
	require.True(t, unparked)
	require.Equal(t, run.ID, id)
	_, unparked = unpark()
	require.False(t, unparked, "it is parked no more")

	now := b.run(t, run.ID)
	require.Equal(t, store.RunQueued, now.State)
	require.Zero(t, now.Parks)
	require.Equal(t, "destination_down", now.ParkReason, "the first page that is committed clears the condition by it")
	require.Empty(t, b.unattended(t, 0, 10), "its message is under way")
	b.advance(t, time.Minute)
	require.Len(t, b.unattended(t, 0, 10), 1)
}

func TestRunsThatNobodyWorksAreFound(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	queued := b.queued(t, "queued")
	running, lease := b.claimed(t, "running")
	parked, parkedLease := b.claimed(t, "parked")
	b.park(t, parked, parkedLease, time.Second)
	finished, finishedLease := b.claimed(t, "finished")
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, finished, finishedLease.Epoch, store.RunCompleted, "")
	})

	b.advance(t, 20*time.Second)
	require.NoError(t, lease.Renew(t.Context()))
	b.advance(t, 20*time.Second)
	require.NoError(t, lease.Renew(t.Context()))
	b.advance(t, 20*time.Second)
	require.Equal(t, []store.RunRef{{ID: queued, Customer: "queued"}}, b.unattended(t, 0, 10), "one that a live lease holds is attended")

	b.advance(t, 30*time.Second) // the worker died; the parked one is due, and waits for its waker
	require.Equal(t, []store.RunRef{{ID: queued, Customer: "queued"}, {ID: running.ID, Customer: "running"}}, b.unattended(t, 0, 10))

	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost)
	require.Equal(t, []store.RunRef{{ID: queued, Customer: "queued"}}, b.unattended(t, 0, 1), "page by page")
	require.Equal(t, []store.RunRef{{ID: running.ID, Customer: "running"}}, b.unattended(t, queued, 1))
	require.Empty(t, b.unattended(t, running.ID, 1))
}
