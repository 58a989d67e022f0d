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
	f := newFixture(t)
	id := f.queued(t, "acme")
	now, err := f.Now(t.Context())
	require.NoError(t, err)

	done, err := f.PutOffRun(t.Context(), "acme", store.KindBackfill, "not_before", now.Add(24*time.Hour))

	require.NoError(t, err)
	require.True(t, done)
	require.Empty(t, f.unattended(t, 0, 10))
	f.advance(t, 24*time.Hour-time.Microsecond)
	require.Empty(t, f.woken(t))
	f.advance(t, time.Microsecond)
	require.Equal(t, []store.RunRef{{ID: id, Customer: "acme", Kind: store.KindBackfill, Trace: "trace"}}, f.woken(t))
	require.Zero(t, f.run(t, id).Parks)
}

func TestRunThatAWorkerHasIsNotPutOffByOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")

	done, err := f.PutOffRun(t.Context(), "acme", store.KindBackfill, "quiet_hours", time.Now())
	require.NoError(t, err)
	require.False(t, done)
	require.Equal(t, store.RunRunning, f.run(t, run.ID).State)

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		require.ErrorIs(t, tx.PutOffClaimedRun(ctx, run.ID, lease.Epoch+1, "quiet_hours", time.Now()), store.ErrLaneLost)
		return tx.PutOffClaimedRun(ctx, run.ID, lease.Epoch, "quiet_hours", time.Now())
	})
	parked := f.run(t, run.ID)
	require.Equal(t, store.RunParked, parked.State)
	require.Zero(t, parked.Attempts)
	require.Zero(t, parked.Parks)

	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.CancelBackfill(ctx, "acme", "offboarded") })
	done, err = f.PutOffRun(t.Context(), "acme", store.KindBackfill, "quiet_hours", time.Now())
	require.NoError(t, err)
	require.False(t, done, "nor is one that has ended")
}
