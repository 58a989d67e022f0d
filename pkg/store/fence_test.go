package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func (b *bed) fence(t testing.TB, customer string) {
	t.Helper()
	b.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, customer) })
}

func (b *bed) taken(t testing.TB, customer string) bool {
	t.Helper()
	_, err := b.TakeLease(t.Context(), customer, "another", 30*time.Second)
	if err != nil {
		require.ErrorIs(t, err, store.ErrLaneTaken)
	}
	return err != nil
}

func TestAFencedHolderCommitsNothingAndTheNextOneStartsWhenItReleases(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	lease := b.lease(t, "acme")

	b.fence(t, "acme")

	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost)
	require.ErrorIs(t, lease.Outlasts(0), store.ErrLaneLost)
	require.True(t, b.taken(t, "acme"), "its requests may be on their way")
	require.NoError(t, lease.Release(t.Context()))
	require.False(t, b.taken(t, "acme"))
}

func TestAFencedLaneIsFreeWhenItsLeaseRunsOutAndNotBefore(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	lease := b.lease(t, "acme")
	b.advance(t, 10*time.Second)

	b.fence(t, "acme")
	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost, "and is not longer for it")
	b.fence(t, "acme")

	b.advance(t, 20*time.Second-time.Microsecond)
	require.True(t, b.taken(t, "acme"))
	b.advance(t, time.Microsecond)
	require.False(t, b.taken(t, "acme"))
}

func TestAHolderThatWasFencedTwiceReleasesItsOwnLeaseAndNoOther(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	first := b.lease(t, "acme")
	b.fence(t, "acme")
	b.fence(t, "acme")
	require.NoError(t, first.Release(t.Context()))

	second := b.lease(t, "acme") // of the same process
	require.NoError(t, first.Release(t.Context()))

	require.NoError(t, second.Renew(t.Context()))
}

func TestAFenceOnAFreeLaneKeepsItFree(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.fence(t, "globex") // which has no row
	require.NoError(t, b.lease(t, "acme").Release(t.Context()))

	b.fence(t, "acme")

	_, err := b.LaneClosingUntil(t.Context(), "acme")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.False(t, b.taken(t, "acme"))
	require.False(t, b.taken(t, "globex"))
}

func TestALaneIsClosingFromTheFenceUntilItsHolderReleases(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	closing := func() error {
		_, err := b.LaneClosingUntil(t.Context(), "acme")
		return err
	}
	lease := b.lease(t, "acme")
	require.ErrorIs(t, closing(), store.ErrNotFound)

	b.fence(t, "acme")
	require.NoError(t, closing())
	require.NoError(t, lease.Release(t.Context()))
	require.ErrorIs(t, closing(), store.ErrNotFound)

	b.lease(t, "acme")
	require.ErrorIs(t, closing(), store.ErrNotFound, "the fence was of the holder before")
}

func TestOfTwoHoldersWithTheSameEpochOnlyTheOneOfTheRowHoldsTheLane(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	lost := b.lease(t, "acme")
	// A failover to a server that has not heard of the lease: the next holder gets the same epoch.
	b.exec(t, `DELETE FROM customer_leases`)
	present := b.lease(t, "acme")
	require.Equal(t, lost.Epoch, present.Epoch)

	require.ErrorIs(t, b.InLane(t.Context(), lost, aPage("acme")), store.ErrLaneLost)
	require.ErrorIs(t, lost.Renew(t.Context()), store.ErrLaneLost)
	require.NoError(t, lost.Release(t.Context()))

	require.NoError(t, present.Renew(t.Context()))
}

func TestAHolderHearsOfAFenceWithinASecond(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	lease, err := b.TakeLease(t.Context(), "acme", "worker", time.Minute)
	require.NoError(t, err)
	held, done := lease.Hold(t.Context())

	fenced := time.Now()
	b.fence(t, "acme")
	<-held.Done()

	require.Less(t, time.Since(fenced), time.Second)
	require.ErrorIs(t, context.Cause(held), store.ErrLaneLost)
	require.True(t, b.taken(t, "acme"), "until it has let go")
	require.NoError(t, done(t.Context()))
	require.False(t, b.taken(t, "acme"))
}
