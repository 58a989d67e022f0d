package budget_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/fault"
)

func TestGrantsOfOneCustomerAreAtLeastTheIntervalApart(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	const accounts, each = 8, 4
	var mu sync.Mutex
	var grants []time.Duration
	var running sync.WaitGroup
	for i := range accounts {
		account := b.account(t, "acme", "job-"+strconv.Itoa(i), perMinute(), func(wait time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			grants = append(grants, wait) // the clock stands: a wait is a moment
		})
		running.Go(func() {
			for range each {
				if err := account.Wait(t.Context()); err != nil {
					t.Errorf("wait: %v", err)
				}
			}
		})
	}
	running.Wait()

	require.Len(t, grants, accounts*each)
	slices.Sort(grants)
	require.Zero(t, grants[0])
	for i := 1; i < len(grants); i++ {
		require.InDelta(t, float64(interval), float64(grants[i]-grants[i-1]), float64(time.Microsecond), "neither closer nor wasted")
	}
	require.Len(t, b.spent(t, "acme"), accounts)
	require.Equal(t, int64(each), b.spent(t, "acme")["job-3"], "spending is counted by job")
}

func TestPauseDoesNotAllowBurst(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	var waits []time.Duration
	account := b.account(t, "acme", "job", perMinute(), func(wait time.Duration) { waits = append(waits, wait) })
	require.NoError(t, account.Wait(t.Context()))
	b.advance(t, time.Hour)

	for range 3 {
		require.NoError(t, account.Wait(t.Context()))
	}

	require.Equal(t, []time.Duration{0, 0, interval, 2 * interval}, waits)
}

func TestElapsedTimeCountsTowardsWait(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	var last time.Duration
	account := b.account(t, "acme", "job", perMinute(), func(wait time.Duration) { last = wait })
	require.NoError(t, account.Wait(t.Context()))

	b.advance(t, 206*time.Millisecond)
	require.NoError(t, account.Wait(t.Context()))

	require.Equal(t, 400*time.Millisecond, last)
}

func TestCustomersDoNotShareBudget(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	var last time.Duration
	waited := func(wait time.Duration) { last = wait }
	busy := b.account(t, "acme", "job", perMinute(), waited)
	for range 5 {
		require.NoError(t, busy.Wait(t.Context()))
	}

	require.NoError(t, b.account(t, "globex", "job", perMinute(), waited).Wait(t.Context()))

	require.Zero(t, last)
	require.Equal(t, map[string]int64{"job": 1}, b.spent(t, "globex"))
	require.Empty(t, b.spent(t, "initech"), "who never sent a request")
}

func TestTooLongWaitIsThrottledAndSpendsNothing(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	account := b.account(t, "acme", "job", perMinute(), func(time.Duration) {})
	require.NoError(t, account.Wait(t.Context()))
	require.NoError(t, account.Throttled(t.Context(), 10*time.Minute))

	for range 3 {
		err := account.Wait(t.Context())
		require.Equal(t, fault.KindThrottled, fault.KindOf(err))
		after, named := fault.After(err)
		require.True(t, named)
		require.Equal(t, 10*time.Minute, after)
	}
	require.Equal(t, 10*time.Minute, b.held(t, "acme"), "nor does asking move it")
	require.Equal(t, map[string]int64{"job": 1}, b.spent(t, "acme"))

	b.advance(t, 10*time.Minute-20*time.Second)
	require.NoError(t, account.Wait(t.Context()), "within the patience of 20 s")
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	account, err := budget.Open(b.ledger, "acme", "job", perMinute())
	require.NoError(t, err)
	require.NoError(t, account.Wait(t.Context()))
	require.NoError(t, account.Throttled(t.Context(), 15*time.Second))
	stopping := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	waited := make(chan error, 1)
	go func() { waited <- account.Wait(ctx) }()
	require.Eventually(t, func() bool { return b.spent(t, "acme")["job"] == 2 }, 20*time.Second, 5*time.Millisecond)

	cancel(stopping)

	require.ErrorIs(t, <-waited, stopping)
}

// The limiter gives up before the deadline when the deadline would come first.
func TestDeadlineBeforeNextGrantIsDeadlineExceeded(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	account := b.account(t, "acme", "job", budget.Limits{PerSecond: 0.01}, func(time.Duration) {})
	require.NoError(t, account.Wait(t.Context()))
	b.advance(t, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	err := account.Wait(ctx)

	require.Error(t, err)
	require.NotContains(t, err.Error(), "%!")
	require.Error(t, errors.Unwrap(err), "the cause is kept")
}

func TestGrantsOfExpectedRequestsAreTakenTogether(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	fast := budget.Limits{PerSecond: 1000}
	var waits []time.Duration
	scan := b.account(t, "acme", "scan", fast, func(wait time.Duration) { waits = append(waits, wait) })
	other := b.account(t, "acme", "other", fast, func(wait time.Duration) { waits = append(waits, wait) })

	scan.Expect(5)
	require.NoError(t, scan.Wait(t.Context()))
	require.Equal(t, int64(5), b.spent(t, "acme")["scan"], "those of the next four are taken, too")
	require.NoError(t, other.Wait(t.Context()))
	require.Equal(t, []time.Duration{0, 5 * fast.Interval()}, waits, "no other account gets them")

	for range 4 {
		require.NoError(t, scan.Wait(t.Context()))
	}
	require.Equal(t, int64(5), b.spent(t, "acme")["scan"])
	for i, wait := range waits[2:] {
		require.LessOrEqual(t, wait, time.Duration(i+1)*fast.Interval(), "each an interval after the one before")
	}
	require.NoError(t, scan.Wait(t.Context()))
	require.Equal(t, int64(6), b.spent(t, "acme")["scan"], "no more are expected")

	scan.Expect(1000)
	require.NoError(t, scan.Wait(t.Context()))
	require.Equal(t, int64(6+8), b.spent(t, "acme")["scan"], "eight at most")
	require.NoError(t, scan.Throttled(t.Context(), time.Second))
	waits = nil
	require.NoError(t, scan.Wait(t.Context()))
	require.Equal(t, []time.Duration{time.Second}, waits, "what was granted before the hold is not used after it")
}

func TestGrantsOfSlowLimitsAreTakenOneByOne(t *testing.T) {
	t.Parallel()
	for _, slow := range []budget.Limits{{PerSecond: 900}, {PerSecond: 40}, {PerSecond: 10_000, PerMinute: 50_000}} {
		b := newFixture(t)
		account := b.account(t, "acme", "scan", slow, func(time.Duration) {})
		account.Expect(5)
		require.NoError(t, account.Wait(t.Context()))
		require.Equal(t, int64(1), b.spent(t, "acme")["scan"])
	}
}

// A scan that slept uses its grants late, in a second of which another job uses every grant.
func TestGrantsThatAreUsedLateStayWithinTheLimit(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	least := budget.Limits{PerSecond: 920} // the slowest limit with which grants are taken together
	late := 0
	scan := b.account(t, "acme", "scan", least, func(time.Duration) { late++ })
	scan.Expect(1000)
	require.NoError(t, scan.Wait(t.Context()))
	b.advance(t, time.Minute)

	inSecond := 0
	other := b.account(t, "acme", "other", budget.Limits{PerSecond: 10_000, PerMinute: 60 * least.PerSecond}, func(wait time.Duration) {
		if wait < time.Second {
			inSecond++
		}
	})
	for inSecond == 0 || inSecond >= int(b.spent(t, "acme")["other"]) {
		require.NoError(t, other.Wait(t.Context()))
	}
	late = 0
	for taken := b.spent(t, "acme")["scan"]; taken == b.spent(t, "acme")["scan"]; {
		require.NoError(t, scan.Wait(t.Context()))
	}
	require.Equal(t, 7+1, late, "seven that were taken ahead, and then a fresh one")
	require.LessOrEqual(t, inSecond+7, int(least.PerSecond))
}
