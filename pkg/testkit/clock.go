package testkit

import (
	"sync"
	"time"
)

// Clock is a clock that only the test moves. Its method Now is the func() time.Time that the code under test accepts.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock set to start, or to a moment in 2026, UTC, if start is zero.
func NewClock(start time.Time) *Clock {
	if start.IsZero() {
		start = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)
	}
	return &Clock{now: start}
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward by d and returns the new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}
