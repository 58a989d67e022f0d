package testkit

import (
	"sync"
	"time"
)

// Clock is a time that moves when a test says so. Its method Now is the func() time.Time that the code under
// test takes.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock is a clock that stands at start; at a moment in 2026, UTC, when start is zero.
func NewClock(start time.Time) *Clock {
	if start.IsZero() {
		start = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)
	}
	return &Clock{now: start}
}

// Now is the time at which the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on by d and is the new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}
