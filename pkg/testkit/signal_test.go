package testkit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

func TestSignalReturnsEachValueOnceInOrder(t *testing.T) {
	t.Parallel()
	pages := testkit.NewSignal[int]()
	var hook func(int) = pages.Send

	go func() {
		for page := range 3 {
			hook(page)
		}
	}()

	require.Equal(t, 0, pages.Wait(t, 10*time.Second))
	pages.Require(t, 10*time.Second, 1)
	pages.Require(t, 10*time.Second, 2)
	pages.RequireNone(t)
}

func TestTwoWaitersEachGetOneValue(t *testing.T) {
	t.Parallel()
	signal := testkit.NewSignal[string]()
	got := make(chan string, 2)
	for range 2 {
		go func() { got <- signal.Wait(t, 10*time.Second) }()
	}

	signal.Send("one")
	signal.Send("two")

	require.ElementsMatch(t, []string{"one", "two"}, []string{<-got, <-got})
}

func TestMissingSignalFailsTest(t *testing.T) {
	t.Parallel()
	signal := testkit.NewSignal[int]()
	said := expectFailure(t, func(t *recorder) { signal.Wait(t, time.Millisecond) })
	require.Contains(t, said, "no signal within 1ms")
}

func TestUnexpectedSignalFailsTest(t *testing.T) {
	t.Parallel()
	signal := testkit.NewSignal[int]()
	signal.Send(1)
	expectFailure(t, func(t *recorder) { signal.RequireNone(t) })
	expectFailure(t, func(t *recorder) { signal.Require(t, time.Second, 2) })
}

func TestClockMovesOnlyByAdvance(t *testing.T) {
	t.Parallel()
	clock := testkit.NewClock(time.Time{})
	var now func() time.Time = clock.Now
	start := now()
	require.False(t, start.IsZero())
	require.Equal(t, start, now())

	require.Equal(t, start.Add(time.Hour), clock.Advance(time.Hour))

	require.Equal(t, start.Add(time.Hour), now())
}
