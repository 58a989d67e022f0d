package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func (f *fixture) fence(t testing.TB, customer string) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, customer) })
}

func (f *fixture) taken(t testing.TB, customer string) bool {
	t.Helper()
	_, err := f.TakeLease(t.Context(), customer, "another", 30*time.Second)
	if err != nil {
		require.ErrorIs(t, err, store.ErrLaneTaken)
	}
	return err != nil
}

func TestAFencedHolderCommitsNothingAndTheNextOneStartsWhenItReleases(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")

	f.fence(t, "acme")

	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost)
	require.ErrorIs(t, lease.Outlasts(0), store.ErrLaneLost)
	require.True(t, f.taken(t, "acme"), "its requests may be on their way")
	require.NoError(t, lease.Release(t.Context()))
	require.False(t, f.taken(t, "acme"))
}

func TestAFencedLaneIsFreeWhenItsLeaseRunsOutAndNotBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	f.advance(t, 10*time.Second)

	f.fence(t, "acme")
	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost, "and is not longer for it")
	f.fence(t, "acme")

	f.advance(t, 20*time.Second-time.Microsecond)
	require.True(t, f.taken(t, "acme"))
	f.advance(t, time.Microsecond)
	require.False(t, f.taken(t, "acme"))
}

func TestAHolderThatWasFencedTwiceReleasesItsOwnLeaseAndNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.lease(t, "acme")
	f.fence(t, "acme")
	f.fence(t, "acme")
	require.NoError(t, first.Release(t.Context()))

	second := f.lease(t, "acme") // of the same process
	require.NoError(t, first.Release(t.Context()))

	require.NoError(t, second.Renew(t.Context()))
}

func TestAFenceOnAFreeLaneKeepsItFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fence(t, "globex") // which has no row
	require.NoError(t, f.lease(t, "acme").Release(t.Context()))

	f.fence(t, "acme")

	_, err := f.LaneClosingUntil(t.Context(), "acme")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.False(t, f.taken(t, "acme"))
	require.False(t, f.taken(t, "globex"))
}

func TestALaneIsClosingFromTheFenceUntilItsHolderReleases(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	closing := func() error {
		_, err := f.LaneClosingUntil(t.Context(), "acme")
		return err
	}
	lease := f.lease(t, "acme")
	require.ErrorIs(t, closing(), store.ErrNotFound)

	f.fence(t, "acme")
	require.NoError(t, closing())
	require.NoError(t, lease.Release(t.Context()))
	require.ErrorIs(t, closing(), store.ErrNotFound)

	f.lease(t, "acme")
	require.ErrorIs(t, closing(), store.ErrNotFound, "the fence was of the holder before")
}

func TestOfTwoHoldersWithTheSameEpochOnlyTheOneOfTheRowHoldsTheLane(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lost := f.lease(t, "acme")
	// A failover to a server that has not heard of the lease: the next holder gets the same epoch.
	f.exec(t, `DELETE FROM customer_leases`)
	present := f.lease(t, "acme")
	require.Equal(t, lost.Epoch, present.Epoch)

	require.ErrorIs(t, f.InLane(t.Context(), lost, aPage("acme")), store.ErrLaneLost)
	require.ErrorIs(t, lost.Renew(t.Context()), store.ErrLaneLost)
	require.NoError(t, lost.Release(t.Context()))

	require.NoError(t, present.Renew(t.Context()))
}

func TestAHolderHearsOfAFenceWithinASecond(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease, err := f.TakeLease(t.Context(), "acme", "worker", time.Minute)
	require.NoError(t, err)
	held, done := lease.Hold(t.Context())

	fenced := time.Now()
	f.fence(t, "acme")
	<-held.Done()

	require.Less(t, time.Since(fenced), time.Second)
	require.ErrorIs(t, context.Cause(held), store.ErrLaneLost)
	require.True(t, f.taken(t, "acme"), "until it has let go")
	require.NoError(t, done(t.Context()))
	require.False(t, f.taken(t, "acme"))
}
