package store_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestATakenLaneIsRefusedToASecondHolderAndMarkedAsWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")

	_, err := f.TakeLease(t.Context(), "acme", "another", 30*time.Second)
	require.ErrorIs(t, err, store.ErrLaneTaken)

	require.False(t, lease.Wanted(), "the holder sees it with its next renewal")
	require.NoError(t, lease.Renew(t.Context()))
	require.True(t, lease.Wanted())
	_, err = f.TakeLease(t.Context(), "globex", "another", 30*time.Second)
	require.NoError(t, err, "the lane of another customer is free")
}

func TestAHolderSeesInItsPageThatTheLaneIsWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	_, err := f.TakeLease(t.Context(), "acme", "another", 30*time.Second)
	require.ErrorIs(t, err, store.ErrLaneTaken)

	require.NoError(t, f.InLane(t.Context(), lease, func(context.Context, *store.Tx) error { return nil }))

	require.True(t, lease.Wanted())
}

func TestALaneThatWasWantedIsNotWantedOfTheNextHolder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.lease(t, "acme")
	_, err := f.TakeLease(t.Context(), "acme", "another", 30*time.Second)
	require.ErrorIs(t, err, store.ErrLaneTaken)
	require.NoError(t, first.Release(t.Context()))

	second := f.lease(t, "acme")
	require.NoError(t, second.Renew(t.Context()))

	require.False(t, second.Wanted())
}

func TestTheEpochGrowsWithEveryHolderAndNeverFalls(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	last := int64(0)
	for round := range 6 {
		lease := f.lease(t, "acme")
		require.Greater(t, lease.Epoch, last)
		last = lease.Epoch
		switch round % 3 {
		case 0:
			require.NoError(t, lease.Release(t.Context()))
		case 1:
			f.advance(t, 30*time.Second)
		case 2:
			f.fence(t, "acme")
			require.NoError(t, lease.Release(t.Context()))
		}
		require.GreaterOrEqual(t, value[int64](t, f, `SELECT epoch FROM customer_leases`), last)
	}
}

func TestALaneIsFreeAtTheInstantItsLeaseEndsAndNotBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.lease(t, "acme")

	f.advance(t, 30*time.Second-time.Microsecond)
	_, err := f.TakeLease(t.Context(), "acme", "another", 30*time.Second)
	require.ErrorIs(t, err, store.ErrLaneTaken)

	f.advance(t, time.Microsecond)
	_, err = f.TakeLease(t.Context(), "acme", "another", 30*time.Second)
	require.NoError(t, err)
}

func TestARenewedLeaseLastsFromItsRenewal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	f.advance(t, 29*time.Second)
	require.NoError(t, lease.Renew(t.Context()))
	f.advance(t, 29*time.Second)

	_, err := f.TakeLease(t.Context(), "acme", "another", 30*time.Second)

	require.ErrorIs(t, err, store.ErrLaneTaken)
}

func TestARenewalNeverShortensALease(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	f.advance(t, 10*time.Second)
	require.NoError(t, lease.Renew(t.Context()))

	// A page's transaction that began before the renewal asserts the lease after it.
	f.advance(t, -8*time.Second)
	require.NoError(t, f.InLane(t.Context(), lease, func(context.Context, *store.Tx) error { return nil }))

	f.advance(t, 37*time.Second)
	_, err := f.TakeLease(t.Context(), "acme", "another", 30*time.Second)
	require.ErrorIs(t, err, store.ErrLaneTaken, "the holder counts on 40 s from the start")
}

func TestAReleasedLaneIsFreeAtOnceAndItsHolderIsOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")

	require.NoError(t, lease.Release(t.Context()))

	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost)
	require.ErrorIs(t, lease.Outlasts(0), store.ErrLaneLost)
	f.lease(t, "acme")
}

func TestARenewalThatComesAfterTheReleaseDoesNotBringTheLeaseBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	require.NoError(t, lease.Release(t.Context()))

	// By its own transaction's clock the renewal was earlier.
	f.advance(t, -time.Millisecond)
	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost)

	f.advance(t, time.Millisecond)
	f.lease(t, "acme")
}

func TestALateReleaseDoesNotEndTheNextHoldersLease(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	late := f.lease(t, "acme")
	f.advance(t, 31*time.Second)
	present := f.lease(t, "acme")

	require.NoError(t, late.Release(t.Context()))

	require.NoError(t, present.Renew(t.Context()))
}

func TestOfTakersThatRaceOneWins(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	last := int64(0)
	for round := range 60 {
		var winner atomic.Pointer[store.Lease]
		var wins, refusals atomic.Int32
		atOnce(4, func(i int) {
			lease, err := f.TakeLease(t.Context(), "acme", strconv.Itoa(i), 30*time.Second)
			switch {
			case err == nil:
				wins.Add(1)
				winner.Store(lease)
			case errors.Is(err, store.ErrLaneTaken):
				refusals.Add(1)
			default:
				t.Errorf("take lease: %v", err)
			}
		})
		require.Equal(t, int32(1), wins.Load(), "round %d", round)
		require.Equal(t, int32(3), refusals.Load())
		require.Greater(t, winner.Load().Epoch, last)
		last = winner.Load().Epoch
		if round%2 == 0 {
			require.NoError(t, winner.Load().Release(t.Context()))
		} else {
			f.advance(t, 30*time.Second)
		}
	}
}

func TestALeaseOutlastsARequestOnlyWhileItsTimeCoversIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	clock := testkit.NewClock(time.Time{})
	lease, err := f.TakeLeaseAt(t.Context(), "acme", "holder", 30*time.Second, clock.Now)
	require.NoError(t, err)

	require.NoError(t, lease.Outlasts(30*time.Second))
	require.ErrorIs(t, lease.Outlasts(30*time.Second+1), store.ErrLaneLost)
	clock.Advance(20 * time.Second)
	require.NoError(t, lease.Outlasts(10*time.Second))
	require.ErrorIs(t, lease.Outlasts(10*time.Second+1), store.ErrLaneLost)

	require.NoError(t, lease.Renew(t.Context()))
	require.NoError(t, lease.Outlasts(30*time.Second), "renewed")
	clock.Advance(time.Hour)
	require.ErrorIs(t, lease.Outlasts(0), store.ErrLaneLost, "it slept through it, and no message said so")
}

func TestALeaseIsCountedFromBeforeItsRenewalWasSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	clock := testkit.NewClock(time.Time{})
	lease, err := f.TakeLeaseAt(t.Context(), "acme", "holder", 30*time.Second, clock.Now)
	require.NoError(t, err)
	clock.Advance(10 * time.Second)

	f.exec(t, `BEGIN`)
	f.exec(t, `SELECT FROM customer_leases FOR UPDATE`)
	renewed := make(chan error, 1)
	go func() { renewed <- lease.Renew(t.Context()) }()
	f.untilBlocked(t, 1)
	clock.Advance(5 * time.Second) // that long the answer took
	f.exec(t, `COMMIT`)

	require.NoError(t, <-renewed)
	require.NoError(t, lease.Outlasts(25*time.Second))
	require.ErrorIs(t, lease.Outlasts(25*time.Second+1), store.ErrLaneLost)
}
