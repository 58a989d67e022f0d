package backoff_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/backoff"
)

func TestDelaysDoubleFromTheFirstToTheLongest(t *testing.T) {
	t.Parallel()
	delays := backoff.Delays{First: 2 * time.Second, Longest: 20 * time.Second}
	for attempts, want := range map[int]time.Duration{
		-1: 2 * time.Second, 0: 2 * time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 4: 16 * time.Second,
		5: 20 * time.Second, 6: 20 * time.Second, 10_000: 20 * time.Second,
	} {
		require.Equal(t, want, delays.After(attempts), "after %d attempts", attempts)
	}
}

func TestDelaysStayWithinTheirBoundsForAnyNumberOfAttempts(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for _, first := range []time.Duration{0, 1, time.Millisecond, 1500 * time.Millisecond, time.Minute, 200 * year} {
		for _, longest := range []time.Duration{first, first + 1, time.Minute, time.Hour, 290 * year} {
			if longest < first {
				continue
			}
			for _, jitter := range []float64{0, 0.1, 0.2, 0.5, 1} {
				exact, random := backoff.Delays{First: first, Longest: longest}, backoff.Delays{First: first, Longest: longest, Jitter: jitter}
				before := time.Duration(0)
				for attempts := range 10_001 {
					grown, delay := exact.After(attempts), random.After(attempts)
					if grown < before || grown > longest || grown < first { // require for each would take minutes
						require.Failf(t, "not monotone", "%+v: %s after %d attempts, %s before", exact, grown, attempts, before)
					}
					if floor := time.Duration((1 - jitter) * float64(grown)); delay > grown || delay < floor-time.Microsecond {
						require.Failf(t, "out of bounds", "%+v: %s after %d attempts, not in %s to %s", random, delay, attempts, floor, grown)
					}
					before = grown
				}
				if first > 0 {
					require.Equal(t, longest, exact.After(10_000), "%+v", exact)
				}
			}
		}
	}
}

func TestJitterUsesTheWholeOfItsShare(t *testing.T) {
	t.Parallel()
	delays := backoff.Delays{First: time.Second, Longest: time.Minute, Jitter: 0.5}
	least, most := time.Hour, time.Duration(0)
	for range 10_000 {
		delay := delays.After(1)
		least, most = min(least, delay), max(most, delay)
	}
	require.Less(t, least, 510*time.Millisecond)
	require.Greater(t, most, 990*time.Millisecond)
}

func TestSleepReturnsAfterTheDelayOrWithTheCauseOfTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the service stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		began := time.Now()

		require.NoError(t, backoff.Sleep(ctx, time.Minute))
		require.Equal(t, time.Minute, time.Since(began))

		time.AfterFunc(time.Second, func() { cancel(cause) })
		require.ErrorIs(t, backoff.Sleep(ctx, time.Hour), cause)
		require.Equal(t, time.Minute+time.Second, time.Since(began))
		for range 100 {
			require.ErrorIs(t, backoff.Sleep(ctx, 0), cause)
		}
	})
}
