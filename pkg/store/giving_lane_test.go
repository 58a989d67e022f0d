package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/store"
)

func TestLaneOfGivingIsBesideThatOfTheMirror(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mirror := f.lease(t, "acme")
	giving, err := f.TakeLeaseIn(t.Context(), store.LaneGiving, "acme", "donations-1", time.Minute)
	require.NoError(t, err)
	_, err = f.TakeLeaseIn(t.Context(), store.LaneGiving, "acme", "donations-2", time.Minute)
	require.ErrorIs(t, err, store.ErrLaneTaken)
	require.NoError(t, giving.Renew(t.Context()))
	require.True(t, giving.Wanted())
	require.False(t, mirror.Wanted())
	require.NoError(t, f.InLane(t.Context(), giving, aPage("acme")))

	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.FenceGivingLane(ctx, "acme") })

	require.ErrorIs(t, f.InLane(t.Context(), giving, aPage("acme")), store.ErrLaneLost)
	require.NoError(t, mirror.Renew(t.Context()))
	require.NoError(t, giving.Release(t.Context()))
	again, err := f.TakeLeaseIn(t.Context(), store.LaneGiving, "acme", "donations-2", time.Minute)
	require.NoError(t, err)
	require.NoError(t, errors.Join(again.Release(t.Context()), mirror.Release(t.Context())))
}

func TestBudgetOfVirtuousIsBesideThatOfVomo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ledger budget.HourlyLedger = f.VirtuousBudgets()
	seen, err := ledger.SeenQuota(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, budget.Quota{Remaining: -1}, seen)
	_, granted, err := ledger.TakeGrant(t.Context(), "acme", "donations", time.Hour, time.Second)
	require.NoError(t, err)
	require.True(t, granted)
	wait, granted, err := ledger.TakeGrant(t.Context(), "acme", "donations", time.Hour, time.Second)
	require.NoError(t, err)
	require.False(t, granted)
	require.Greater(t, wait, 50*time.Minute)
	_, granted, err = f.TakeGrant(t.Context(), "acme", "poll", time.Hour, time.Second)
	require.NoError(t, err)
	require.True(t, granted, "VOMO's budget is another one")
	resets := time.Date(2026, 11, 28, 23, 0, 0, 0, time.UTC)
	require.NoError(t, ledger.NoteQuota(t.Context(), "acme", budget.Quota{Limit: 5000, Remaining: 4000, ResetAt: resets}))
	seen, err = ledger.SeenQuota(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, int64(4000), seen.Remaining)
	require.True(t, resets.Equal(seen.ResetAt))
	for _, other := range []budget.Quota{
		{Limit: 5000, Remaining: 4100, ResetAt: resets.Add(time.Second)}, // of another process, which had read before 4000 was stored
		{Limit: 5000, Remaining: 3900, ResetAt: resets},
	} {
		require.NoError(t, ledger.NoteQuota(t.Context(), "acme", other))
		seen, err = ledger.SeenQuota(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, min(4000, other.Remaining), seen.Remaining)
	}
	require.NoError(t, ledger.NoteQuota(t.Context(), "acme", budget.Quota{Limit: 5000, Remaining: 5000, ResetAt: resets.Add(time.Hour)}))
	seen, err = ledger.SeenQuota(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, int64(5000), seen.Remaining, "a new hour")
	spent, err := f.VirtuousBudgets().Spent(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"donations": 1}, spent.Ever)
}
