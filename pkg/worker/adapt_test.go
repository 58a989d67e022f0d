package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// handlerLoad is what each handler does in a cycle of ten milliseconds.
type handlerLoad struct {
	parts int           // how many busy parts are under way at the same time
	busy  time.Duration // how long each takes
}

const cycle = 10 * time.Millisecond

var (
	waits   = handlerLoad{1, 100 * time.Microsecond}
	works   = handlerLoad{1, cycle}
	halfway = handlerLoad{1, cycle / 2}
	crowds  = handlerLoad{3, cycle} // three pages at the same time
)

// slotsFixture has handlers on a clock of its own. A handler goes on until the test ends it.
type slotsFixture struct {
	*Slots

	at      time.Time
	handled []func() // ends each handler
}

func newSlotsFixture(least, most int) *slotsFixture {
	f := &slotsFixture{at: time.Unix(1_700_000_000, 0)}
	f.Slots = newSlots(least, most, func() time.Time { return f.at })
	return f
}

// begin begins as many handlers as there are free slots: messages come without end.
func (f *slotsFixture) begin() {
	for range f.takeUpTo(1000) {
		f.handled = append(f.handled, f.handling())
	}
}

func (f *slotsFixture) end(handlers int) {
	for _, end := range f.handled[:handlers] {
		end()
	}
	f.handled = f.handled[handlers:]
}

// after returns the number of slots after each of the next seconds.
func (f *slotsFixture) after(seconds int, load handlerLoad) []int {
	numbers := make([]int, 0, seconds)
	for range seconds {
		for range adaptEvery / cycle {
			f.begin()
			var ends []func()
			for range len(f.handled) * load.parts {
				ends = append(ends, f.Busy())
			}
			f.at = f.at.Add(load.busy)
			for _, done := range ends {
				done()
			}
			f.at = f.at.Add(cycle - load.busy)
		}
		f.adapt()
		numbers = append(numbers, f.Number())
	}
	return numbers
}

func TestSlotsGrowWhileHandlersWaitUpToTheirBound(t *testing.T) {
	t.Parallel()
	f := newSlotsFixture(4, 30)
	require.Equal(t, 4, f.Number())
	require.Equal(t, []int{8, 16, 30, 30, 30}, f.after(5, waits))
	require.Len(t, f.handled, 30)
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
			f := newSlotsFixture(2, 30)
			f.after(5, expected.load)
			for _, number := range f.after(20, expected.load) {
				require.Equal(t, expected.settled, number)
			}
			require.Len(t, f.handled, expected.settled)
		})
	}
}

func TestFewerSlotsStopNoHandlerAndBeginNone(t *testing.T) {
	t.Parallel()
	f := newSlotsFixture(2, 30)
	f.after(5, waits)

	require.Equal(t, []int{wantedBusy, wantedBusy}, f.after(2, works))

	require.Len(t, f.handled, 30, "each goes on")
	f.end(30 - wantedBusy)
	f.begin()
	require.Len(t, f.handled, wantedBusy, "none began")
	f.end(1)
	f.begin()
	require.Len(t, f.handled, wantedBusy, "the next one began")
}

func TestSlotsStayAboveTheirLeastNumber(t *testing.T) {
	t.Parallel()
	f := newSlotsFixture(4, 30)
	require.Equal(t, []int{4, 4, 4, 4, 4}, f.after(5, crowds))
}

func TestSlotsReturnToTheirLeastNumberWithoutMessages(t *testing.T) {
	t.Parallel()
	f := newSlotsFixture(4, 30)
	f.after(5, waits)
	f.end(30)
	f.at = f.at.Add(adaptEvery)

	f.adapt()

	require.Equal(t, 4, f.Number())
}

func TestSlotsWithOneBoundStayTheSame(t *testing.T) {
	t.Parallel()
	for bound, least := range map[int]int{1: 4, 2: 2} { // BACKFILL_SLOTS=1 means one at a time
		f := newSlotsFixture(least, bound)
		for _, number := range f.after(5, waits) {
			require.Equal(t, bound, number)
		}
		require.Len(t, f.handled, bound)
	}
}

func TestWhoWaitsForASlotHasItWhenTheNumberGrows(t *testing.T) {
	t.Parallel()
	f := newSlotsFixture(1, 2)
	f.begin()
	taken := make(chan bool)
	go func() { taken <- f.take(t.Context()) }()

	f.at = f.at.Add(adaptEvery)
	f.adapt()

	require.Equal(t, 2, f.Number())
	require.True(t, <-taken)
}
