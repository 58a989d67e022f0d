package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func (f *fixture) paused(t testing.TB, customer string) store.Run {
	t.Helper()
	var run store.Run
	f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
		run, err = tx.PauseBackfill(ctx, customer)
		return err
	})
	return run
}

func TestAPausedRunIsRefusedToItsWorkerAndWokenByNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	require.Equal(t, store.RunPaused, f.paused(t, "acme").State)

	for verb, do := range map[string]func(ctx context.Context, tx *store.Tx) error{
		"advance": func(ctx context.Context, tx *store.Tx) error {
			return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}})
		},
		"park": func(ctx context.Context, tx *store.Tx) error {
			return tx.ParkRun(ctx, run.ID, lease.Epoch, "down", "", 0)
		},
		"requeue": func(ctx context.Context, tx *store.Tx) error {
			return tx.HandBackRun(ctx, run.ID, lease.Epoch, time.Second)
		},
		"finish": func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishRun(ctx, run, lease.Epoch, store.RunCompleted, "")
		},
	} {
		require.ErrorIs(t, f.InTx(t.Context(), do), store.ErrLaneLost, verb)
	}
	_, err := f.claim(t, "acme", lease.Epoch)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, lease.Release(t.Context()))
	f.advance(t, time.Hour)
	unattended, err := f.UnattendedRuns(t.Context(), store.KindBackfill, 0, 10)
	require.NoError(t, err)
	require.Empty(t, unattended)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		woken, err := tx.WakeParkedRuns(ctx, store.KindBackfill)
		require.NoError(t, err)
		require.Empty(t, woken)
		unparked, err := tx.UnparkRuns(ctx, "acme", store.KindBackfill)
		require.Empty(t, unparked, "a new token does not wake it")
		return err
	})
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, started, err := tx.StartBackfill(ctx, "acme", "initial_backfill", "trace")
		require.False(t, started, "it is unfinished: no other one begins beside it")
		return err
	})
	open, err := f.OpenRun(t.Context(), "acme", store.KindBackfill)
	require.NoError(t, err)
	require.True(t, open.State.Open())

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ResumeBackfill(ctx, "acme")
		return err
	})
	_, err = f.claim(t, "acme", f.lease(t, "acme").Epoch)
	require.NoError(t, err)
}

func TestWhatIsNotUnderWayCannotBePausedNorResumed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, verb := range []func(ctx context.Context, tx *store.Tx) error{
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.PauseBackfill(ctx, "acme"); return err },
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.ResumeBackfill(ctx, "acme"); return err },
	} {
		require.ErrorIs(t, f.InTx(t.Context(), verb), store.ErrNotFound)
	}
	f.queued(t, "acme")
	require.ErrorIs(t, f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ResumeBackfill(ctx, "acme")
		return err
	}), store.ErrNotFound)
	f.paused(t, "acme")
	require.ErrorIs(t, f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.PauseBackfill(ctx, "acme")
		return err
	}), store.ErrNotFound)
}

func TestARewriteThatWasCancelledGoesOnInTheNextRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	start := func(rewrite bool) store.Run {
		var id int64
		f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			if rewrite {
				id, _, err = tx.StartRewrite(ctx, "acme", "full_resync", "trace", true)
			} else {
				id, _, err = tx.StartBackfill(ctx, "acme", "full_resync", "trace")
			}
			return err
		})
		return f.run(t, id)
	}
	owed, err := f.RewriteOwed(t.Context(), "acme")
	require.NoError(t, err)
	require.Nil(t, owed)
	first := start(true)
	require.NotNil(t, first.Rewrite)
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.CancelBackfill(ctx, "acme", "cancelled") })
	f.advance(t, time.Hour)

	second := start(false)

	require.Equal(t, first.Rewrite, second.Rewrite, "with the same bound: what the first one wrote stands")
	lease := f.lease(t, "acme")
	claimed, err := f.claim(t, "acme", lease.Epoch)
	require.NoError(t, err)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, claimed, lease.Epoch, store.RunCompleted, "")
	})
	owed, err = f.RewriteOwed(t.Context(), "acme")
	require.NoError(t, err)
	require.Nil(t, owed)
	require.Nil(t, start(false).Rewrite)
}

func TestAnAwaitedLaneIsTakenWhenItsHolderLetsGo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	holder := f.lease(t, "acme")
	_, err := f.AwaitLease(t.Context(), "acme", "operator", 30*time.Second, time.Nanosecond)
	require.ErrorIs(t, err, store.ErrLaneTaken)
	require.NoError(t, holder.Renew(t.Context()))
	require.True(t, holder.Wanted(), "the holder knows")

	taken := make(chan error, 1)
	go func() {
		lease, err := f.AwaitLease(t.Context(), "acme", "operator", 30*time.Second, time.Minute)
		if err == nil {
			err = lease.Release(t.Context())
		}
		taken <- err
	}()
	require.NoError(t, holder.Release(t.Context()))
	require.NoError(t, <-taken)
}

func TestAHeldLeaseEndsItsWorkWhenItIsLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease, err := f.TakeLease(t.Context(), "acme", "operator", 300*time.Millisecond)
	require.NoError(t, err)
	held, done := lease.Hold(t.Context())
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, "acme") })
	select {
	case <-held.Done():
	case <-time.After(within):
		t.Error("the work has not ended")
	}
	require.ErrorIs(t, context.Cause(held), store.ErrLaneLost)
	require.ErrorIs(t, f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.AssertLane(ctx, lease) }), store.ErrLaneLost)
	require.NoError(t, done(t.Context()))
}

func TestOverviewsTellOfEachCustomerItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	older := f.queued(t, "acme")
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.CancelBackfill(ctx, "acme", "cancelled") })
	newer := f.queued(t, "acme")
	require.Greater(t, newer, older)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := tx.RaiseAlert(ctx, "acme", "destination_down", "medium"); err != nil {
			return err
		}
		return tx.SaveMappings(ctx, "globex", []store.Mapping{{VomoID: "1", ExternalID: "a", Version: store.Version{Hash: []byte("h")}}})
	})
	overviews, err := f.Overviews(t.Context(), []string{"acme", "globex", "initech"})
	require.NoError(t, err)
	require.Equal(t, newer, overviews["acme"].Run.ID)
	require.Equal(t, []string{"destination_down"}, overviews["acme"].Alerts)
	require.Zero(t, overviews["acme"].Users)
	require.Equal(t, store.Overview{Users: 1}, overviews["globex"])
	require.Zero(t, overviews["initech"])
}
