package round

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

func dueOf(ids ...string) []Customer {
	var customers []Customer
	for _, id := range ids {
		customers = append(customers, Customer{ID: id})
	}
	return customers
}

func TestQueueMovesCustomersToTheBackAndLeavesHeldOnesOut(t *testing.T) {
	t.Parallel()
	clock := testkit.NewClock(time.Time{})
	q := newQueue(4, clock.Now)
	take := func() string {
		next, ok := q.take()
		if !ok {
			return ""
		}
		return next.Customer
	}
	q.offer(dueOf("a", "b"))
	q.offer(dueOf("b", "a", "c"))
	require.Equal(t, "a", take())
	q.offer(dueOf("a"))
	q.done("a", End{More: true})
	require.Equal(t, []string{"b", "c", "a", ""}, []string{take(), take(), take(), take()})

	q.done("a", End{Hold: 2 * time.Second, Reason: "destination_down", Counts: true})
	q.done("b", End{Hold: time.Second, Reason: HeldLaneTaken})
	q.done("c", End{})
	q.offer(dueOf("a", "b", "c"))
	require.Equal(t, []string{"c", ""}, []string{take(), take()})
	require.Equal(t, time.Second, q.nextLook(time.Minute))
	clock.Advance(2 * time.Second)
	q.offer(dueOf("b", "a"))
	next, _ := q.take()
	require.Equal(t, Next{Customer: "b", LastReason: HeldLaneTaken}, next)
	next, _ = q.take()
	require.Equal(t, Next{Customer: "a", Holds: 1, LastReason: "destination_down"}, next)

	q.done("a", End{Hold: time.Minute, Reason: "destination_down", Counts: true})
	q.endHolds([]string{"a", "unknown"})
	q.offer(dueOf("a"))
	next, _ = q.take()
	require.Equal(t, 2, next.Holds)
	q.done("a", End{})
	q.done("b", End{})
	q.done("c", End{})
	require.Equal(t, time.Minute, q.nextLook(time.Minute))
	require.Empty(t, q.customers, "a customer without a hold is forgotten")
}

func TestHeldCustomerLetsOthersGoFirstForAMinute(t *testing.T) {
	t.Parallel()
	clock := testkit.NewClock(time.Time{})
	q := newQueue(1, clock.Now)
	q.offer(dueOf("hangs"))
	next, _ := q.take()
	q.done(next.Customer, End{Hold: time.Second, Reason: "destination_down", Counts: true})
	clock.Advance(time.Second)
	q.offer(dueOf("hangs", "fine"))
	for range 59 {
		next, ok := q.take()
		require.True(t, ok)
		require.Equal(t, "fine", next.Customer, "though it came later")
		clock.Advance(time.Second)
		q.done("fine", End{More: true})
	}
	clock.Advance(time.Second)
	next, _ = q.take()
	require.Equal(t, "hangs", next.Customer, "others with work without end do not keep it for good")
}

func TestRequestDuringRoundWaivesItsHold(t *testing.T) {
	t.Parallel()
	clock := testkit.NewClock(time.Time{}.AddDate(2025, 0, 0))
	q := newQueue(4, clock.Now)
	forbidden := End{Hold: 15 * time.Minute, Reason: "vomo_forbidden", Counts: true}
	// another gives acme a round during which an operator asks, and reports whether another round follows.
	another := func(end End) bool {
		q.offer(dueOf("acme"))
		_, ok := q.take()
		require.True(t, ok)
		q.endHolds([]string{"acme"}) // rollcall dlq retry
		q.done("acme", end)
		_, ok = q.take()
		if ok {
			q.done("acme", forbidden)
		}
		return ok
	}

	require.True(t, another(forbidden), "it is tried now")
	q.offer(dueOf("acme"))
	_, ok := q.take()
	require.False(t, ok, "once")
	q.endHolds([]string{"acme"})
	require.False(t, another(forbidden), "not for each of thousands of requests")
	clock.Advance(20 * time.Minute)
	require.False(t, another(End{Hold: time.Second}), "a job that wants the lane gets it")
	clock.Advance(time.Second)
	require.True(t, another(forbidden))
}

func TestNewTokenDuringRoundWaivesItsHold(t *testing.T) {
	t.Parallel()
	q := newQueue(4, time.Now)
	q.offer(dueOf("acme"))
	_, ok := q.take()
	require.True(t, ok)
	q.offer([]Customer{{ID: "acme", RenewedAt: time.Now()}})
	q.done("acme", End{Hold: 15 * time.Minute, Reason: "vomo_forbidden", Counts: true})
	_, ok = q.take()
	require.True(t, ok)
}
