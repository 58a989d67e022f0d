package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestARunThatIsPutOffIsWokenWhenItsTimeHasComeAndNotBefore(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	id := b.queued(t, "acme")
	now, err := b.Now(t.Context())
	require.NoError(t, err)

	done, err := b.PutOffRun(t.Context(), id, "not_before", now.Add(24*time.Hour))

	require.NoError(t, err)
	require.True(t, done)
	require.Empty(t, b.unattended(t, 0, 10))
	b.advance(t, 24*time.Hour-time.Microsecond)
	require.Empty(t, b.woken(t))
	b.advance(t, time.Microsecond)
	require.Equal(t, []store.RunRef{{ID: id, Customer: "acme"}}, b.woken(t))
	require.Zero(t, b.run(t, id).Parks)
}

func TestARunThatSomebodyWorksIsNotPutOffByOthers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")

	done, err := b.PutOffRun(t.Context(), run.ID, "quiet_hours", time.Now())
	require.NoError(t, err)
	require.False(t, done)
	require.Equal(t, store.RunRunning, b.run(t, run.ID).State)

	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		require.ErrorIs(t, tx.PutOffClaimedRun(ctx, run.ID, lease.Epoch+1, "quiet_hours", time.Now()), store.ErrLaneLost)
		return tx.PutOffClaimedRun(ctx, run.ID, lease.Epoch, "quiet_hours", time.Now())
	})
	parked := b.run(t, run.ID)
	require.Equal(t, store.RunParked, parked.State)
	require.Zero(t, parked.Attempts)
	require.Zero(t, parked.Parks)

	b.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.CancelOpenRun(ctx, "acme", "offboarded") })
	done, err = b.PutOffRun(t.Context(), run.ID, "quiet_hours", time.Now())
	require.NoError(t, err)
	require.False(t, done, "nor is one that has ended")
}
