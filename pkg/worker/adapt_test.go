package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// handlerLoad is what a handler does in each ten milliseconds.
type handlerLoad struct {
	parts int           // how many busy parts are under way at the same time
	busy  time.Duration // how long each takes
}

var (
	waits   = handlerLoad{1, 100 * time.Microsecond}
	works   = handlerLoad{1, 10 * time.Millisecond}
	halfway = handlerLoad{1, 5 * time.Millisecond}
	crowds  = handlerLoad{3, 10 * time.Millisecond} // three pages at the same time
)

// slotsFixture handles messages without end, in a bubble of synctest. A handler that has begun ends only with endOne or the test.
type slotsFixture struct {
	slots   *Slots
	load    atomic.Pointer[handlerLoad]
	handled atomic.Int64
	ends    chan struct{}
	stop    func()
}

func newSlotsFixture(t *testing.T, least, most int, load handlerLoad) *slotsFixture {
	t.Helper()
	f := &slotsFixture{slots: NewSlots(least, most), ends: make(chan struct{})}
	f.load.Store(&load)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.slots.Adapt(ctx) })
	running.Go(func() {
		for f.slots.take(ctx) {
			done := f.slots.handling()
			f.handled.Add(1)
			running.Go(func() {
				defer done()
				defer f.handled.Add(-1)
				f.handle(ctx)
			})
		}
	})
	f.stop = func() { cancel(); running.Wait() }
	return f
}

func (f *slotsFixture) handle(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		load := *f.load.Load()
		var ends []func()
		for range load.parts {
			ends = append(ends, f.slots.Busy())
		}
		<-time.After(load.busy)
		for _, done := range ends {
			done()
		}
		select {
		case <-f.ends:
			return
		case <-tick.C:
		}
	}
}

// after returns the number of slots after each of the next seconds.
func (f *slotsFixture) after(seconds int) []int {
	numbers := make([]int, 0, seconds)
	for range seconds {
		<-time.After(time.Second)
		synctest.Wait()
		numbers = append(numbers, f.slots.Number())
	}
	return numbers
}

func TestSlotsGrowWhileHandlersWaitUpToTheirBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newSlotsFixture(t, 4, 30, waits)
		defer f.stop()
		require.Equal(t, 4, f.slots.Number())
		require.Equal(t, []int{8, 16, 30, 30, 30}, f.after(5))
		require.EqualValues(t, 30, f.handled.Load())
	})
}

func TestSlotsHoldAtTheWantedLoad(t *testing.T) {
	t.Parallel()
	for name, expected := range map[string]struct {
		load    handlerLoad
		settled int
	}{
		"handlers that do nothing but work": {works, wantedBusy},
		"handlers that wait half the time":  {halfway, 2 * wantedBusy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newSlotsFixture(t, 4, 30, expected.load)
				defer f.stop()
				f.after(5)
				for _, number := range f.after(20) {
					require.InDelta(t, expected.settled, number, 1)
				}
				require.InDelta(t, expected.settled, f.handled.Load(), 1)
			})
		})
	}
}

func TestFewerSlotsStopNoHandlerAndBeginNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newSlotsFixture(t, 4, 30, waits)
		defer f.stop()
		f.after(4)
		f.load.Store(&works)
		f.after(2)
		require.Equal(t, wantedBusy, f.slots.Number())
		require.EqualValues(t, 30, f.handled.Load(), "each goes on")
		for range 30 - wantedBusy {
			f.ends <- struct{}{}
		}
		synctest.Wait()
		require.EqualValues(t, wantedBusy, f.handled.Load(), "none began meanwhile")
		f.ends <- struct{}{}
		synctest.Wait()
		require.EqualValues(t, wantedBusy, f.handled.Load(), "the next one began")
	})
}

func TestSlotsStayAboveTheirLeastNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newSlotsFixture(t, 4, 30, crowds)
		defer f.stop()
		for _, number := range f.after(10) {
			require.Equal(t, 4, number)
		}
	})
}

func TestSlotsReturnToTheirLeastNumberWithoutMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slots := NewSlots(4, 30)
		slots.number = 30
		ctx, cancel := context.WithCancel(t.Context())
		adapting := make(chan struct{})
		go func() { defer close(adapting); slots.Adapt(ctx) }()
		<-time.After(adaptEvery)
		synctest.Wait()
		require.Equal(t, 4, slots.Number())
		cancel()
		<-adapting
	})
}

func TestSlotsWithOneBoundStayTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for bound, least := range map[int]int{1: 4, 2: 2} { // BACKFILL_SLOTS=1 means one at a time
			f := newSlotsFixture(t, least, bound, waits)
			for _, number := range f.after(5) {
				require.Equal(t, bound, number)
			}
			require.EqualValues(t, bound, f.handled.Load())
			f.stop()
		}
	})
}
