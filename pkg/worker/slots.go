package worker

import (
	"context"
	"math"
	"sync"
	"time"
)

const (
	// adaptEvery is long enough that the means of hundreds of busy parts are compared.
	adaptEvery = time.Second
	// wantedBusy is how many busy parts are wanted at the same time. On two cores, five do not make a backfill faster, and take ten MiB more:
	// parts wait for processors and connections, and become longer, not more.
	wantedBusy = 3
)

// Slots is how many messages a worker handles at the same time: a number between two bounds that goes by the load. A handler calls Busy
// around the parts of its work that take processor time here and at Postgres. One that waits, for a limit or for another system, leaves
// the rest of its slot to others. So the number is the one at which about wantedBusy such parts are under way. A slow processor or Postgres
// makes the parts longer, and the number smaller.
//
// A smaller number stops no handler. It only has fewer begin.
type Slots struct {
	least, most int
	clock       func() time.Time
	free        chan struct{} // has a token when a slot may have become free

	mu     sync.Mutex
	number int // how many may be taken
	taken  int
	now    load      // at this moment
	since  time.Time // when it changed last
	sum    load      // over this interval, multiplied by nanoseconds
	passed time.Duration
}

// load is how many messages are handled, and how many busy parts are under way.
type load struct{ handled, busy int64 }

// NewSlots returns slots that begin with the least number. If both bounds are equal, it stays the same.
func NewSlots(least, most int) *Slots {
	return newSlots(least, most, time.Now)
}

// FixedSlots returns slots whose number stays the same.
func FixedSlots(number int) *Slots { return NewSlots(number, number) }

func newSlots(least, most int, clock func() time.Time) *Slots {
	least = min(least, most)
	return &Slots{least: least, most: most, clock: clock, number: least, free: make(chan struct{}, 1), since: clock()}
}

// Number returns how many slots there are now.
func (s *Slots) Number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number
}

// Busy says that a part of a handler's work begins that takes processor time, here or at Postgres; the handler calls done when it ends.
// It may be called on nil.
func (s *Slots) Busy() (done func()) {
	if s == nil {
		return func() {}
	}
	s.note(load{busy: 1})
	return func() { s.note(load{busy: -1}) }
}

// Adapt changes the number every second until ctx ends.
func (s *Slots) Adapt(ctx context.Context) {
	if s.least == s.most {
		return
	}
	ticker := time.NewTicker(adaptEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.adapt()
		}
	}
}

// adapt changes the number by the mean load of the interval that ends.
func (s *Slots) adapt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add()
	handled, busy := float64(s.sum.handled)/float64(s.passed), float64(s.sum.busy)/float64(s.passed)
	s.sum, s.passed = load{}, 0
	s.number = min(max(slotsFor(handled, busy), s.least), s.most)
	s.wake()
}

// slotsFor returns at how many slots as many parts are busy as are wanted, if messages go on as in an interval with these means. It is twice
// as many as were handled at most, because those that begin may be busier.
func slotsFor(handled, busy float64) int {
	return int(math.Ceil(handled * min(2, wantedBusy/busy)))
}

func (s *Slots) note(change load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add()
	s.now.handled += change.handled
	s.now.busy += change.busy
}

// add counts the time since the last change.
func (s *Slots) add() {
	now := s.clock()
	passed := now.Sub(s.since)
	s.since = now
	s.passed += passed
	s.sum.handled += s.now.handled * int64(passed)
	s.sum.busy += s.now.busy * int64(passed)
}

// handling says that a message is handled from now on. The slot that was taken for it is free after done.
func (s *Slots) handling() (done func()) {
	s.note(load{handled: 1})
	return func() {
		s.note(load{handled: -1})
		s.giveBack(1)
	}
}

// take waits for a free slot and takes it. It returns false if ctx ends first. One goroutine at a time may wait.
func (s *Slots) take(ctx context.Context) bool {
	for {
		if s.takeUpTo(1) == 1 {
			return true
		}
		select {
		case <-s.free:
		case <-ctx.Done():
			return false
		}
	}
}

// takeUpTo takes that many slots, or those that are free, and returns how many.
func (s *Slots) takeUpTo(count int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count = max(min(count, s.number-s.taken), 0)
	s.taken += count
	return count
}

func (s *Slots) giveBack(count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken -= count
	s.wake()
}

func (s *Slots) wake() {
	select {
	case s.free <- struct{}{}:
	default:
	}
}
