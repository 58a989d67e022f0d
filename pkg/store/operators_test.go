package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func (b *bed) paused(t testing.TB, customer string) store.Run {
	t.Helper()
	var run store.Run
	b.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
		run, err = tx.PauseRun(ctx, customer)
		return err
	})
	return run
}

func TestAPausedRunIsRefusedToItsWorkerAndWokenByNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	run, lease := b.claimed(t, "acme")
	require.Equal(t, store.RunPaused, b.paused(t, "acme").State)

	for verb, do := range map[string]func(ctx context.Context, tx *store.Tx) error{
		"advance": func(ctx context.Context, tx *store.Tx) error {
			return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}})
		},
		"park": func(ctx context.Context, tx *store.Tx) error {
			return tx.ParkRun(ctx, run.ID, lease.Epoch, "down", "", 0)
		},
		"requeue": func(ctx context.Context, tx *store.Tx) error { return tx.RequeueRun(ctx, run.ID, lease.Epoch) },
		"finish": func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishRun(ctx, run, lease.Epoch, store.RunCompleted, "")
		},
	} {
		require.ErrorIs(t, b.InTx(t.Context(), do), store.ErrLaneLost, verb)
	}
	_, err := b.ClaimRun(t.Context(), run.ID, lease.Epoch)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, lease.Release(t.Context()))
	b.advance(t, time.Hour)
	unattended, err := b.UnattendedRuns(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, unattended)
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		woken, err := tx.WakeParkedRuns(ctx)
		require.NoError(t, err)
		require.Empty(t, woken)
		_, unparked, err := tx.UnparkRun(ctx, "acme")
		require.False(t, unparked, "a new token does not wake it")
		return err
	})
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, started, err := tx.StartRun(ctx, "acme", "initial_backfill", "trace")
		require.False(t, started, "it is unfinished: no other one begins beside it")
		return err
	})
	open, err := b.OpenRun(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, open.State.Open())

	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ResumeRun(ctx, "acme")
		return err
	})
	_, err = b.ClaimRun(t.Context(), run.ID, b.lease(t, "acme").Epoch)
	require.NoError(t, err)
}

func TestWhatIsNotUnderWayCannotBePausedNorResumed(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, verb := range []func(ctx context.Context, tx *store.Tx) error{
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.PauseRun(ctx, "acme"); return err },
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.ResumeRun(ctx, "acme"); return err },
	} {
		require.ErrorIs(t, b.InTx(t.Context(), verb), store.ErrNotFound)
	}
	b.queued(t, "acme")
	require.ErrorIs(t, b.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ResumeRun(ctx, "acme")
		return err
	}), store.ErrNotFound)
	b.paused(t, "acme")
	require.ErrorIs(t, b.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.PauseRun(ctx, "acme")
		return err
	}), store.ErrNotFound)
}

func TestARewriteThatWasCancelledGoesOnInTheNextRun(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	start := func(rewrite bool) store.Run {
		var id int64
		b.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			if rewrite {
				id, _, err = tx.StartRewrite(ctx, "acme", "full_resync", "trace", true)
			} else {
				id, _, err = tx.StartRun(ctx, "acme", "full_resync", "trace")
			}
			return err
		})
		return b.run(t, id)
	}
	owed, err := b.RewriteOwed(t.Context(), "acme")
	require.NoError(t, err)
	require.Nil(t, owed)
	first := start(true)
	require.NotNil(t, first.Rewrite)
	b.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.CancelOpenRun(ctx, "acme", "cancelled") })
	b.advance(t, time.Hour)

	second := start(false)

	require.Equal(t, first.Rewrite, second.Rewrite, "with the same bound: what the first one wrote stands")
	lease := b.lease(t, "acme")
	claimed, err := b.ClaimRun(t.Context(), second.ID, lease.Epoch)
	require.NoError(t, err)
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, claimed, lease.Epoch, store.RunCompleted, "")
	})
	owed, err = b.RewriteOwed(t.Context(), "acme")
	require.NoError(t, err)
	require.Nil(t, owed)
	require.Nil(t, start(false).Rewrite)
}

func TestAnAwaitedLaneIsTakenWhenItsHolderLetsGo(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	holder := b.lease(t, "acme")
	_, err := b.AwaitLease(t.Context(), "acme", "operator", 30*time.Second, time.Nanosecond)
	require.ErrorIs(t, err, store.ErrLaneTaken)
	require.NoError(t, holder.Renew(t.Context()))
	require.True(t, holder.Wanted(), "the holder is told")

	taken := make(chan error, 1)
	go func() {
		lease, err := b.AwaitLease(t.Context(), "acme", "operator", 30*time.Second, time.Minute)
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
	b := newBed(t)
	lease, err := b.TakeLease(t.Context(), "acme", "operator", 300*time.Millisecond)
	require.NoError(t, err)
	held, done := lease.Hold(t.Context())
	b.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, "acme") })
	select {
	case <-held.Done():
	case <-time.After(within):
		t.Error("the work has not ended")
	}
	require.ErrorIs(t, context.Cause(held), store.ErrLaneLost)
	require.ErrorIs(t, b.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.AssertLane(ctx, lease) }), store.ErrLaneLost)
	require.NoError(t, done(t.Context()))
}

func TestOverviewsTellOfEachCustomerItsOwn(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	older := b.queued(t, "acme")
	b.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.CancelOpenRun(ctx, "acme", "cancelled") })
	newer := b.queued(t, "acme")
	require.Greater(t, newer, older)
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := tx.RaiseAlert(ctx, "acme", "destination_down", "medium"); err != nil {
			return err
		}
		return tx.SaveMappings(ctx, "globex", []store.Mapping{{VomoID: "1", ExternalID: "a", Version: store.Version{Hash: []byte("h")}}})
	})
	overviews, err := b.Overviews(t.Context(), []string{"acme", "globex", "initech"})
	require.NoError(t, err)
	require.Equal(t, newer, overviews["acme"].Run.ID)
	require.Equal(t, []string{"destination_down"}, overviews["acme"].Alerts)
	require.Zero(t, overviews["acme"].Users)
	require.Equal(t, store.Overview{Users: 1}, overviews["globex"])
	require.Zero(t, overviews["initech"])
}
