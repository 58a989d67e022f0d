// Package shift tells the time that the sandbox's VOMO and CRM live by, which a test may move.
//
// It owns the offset to the real clock and the Date of the answers. It promises that the clock runs on between
// two moves, so that minutes of a test can hold a day. What measures reality (traffic, delays, how long a fault
// lasts) must not read it. The offset is not kept over a restart.
package shift

import (
	"errors"
	"math"
	"sync"
	"time"
)

// ErrTooFar is returned for an offset that is more than a hundred years.
var ErrTooFar = errors.New("the offset is more than a hundred years")

const farthest = 100 * 365 * 24 * time.Hour

// Clock is the real clock and an offset. It may be used by many goroutines at once.
type Clock struct {
	realFunc func() time.Time

	mu     sync.RWMutex
	offset time.Duration
}

// New returns a clock that shows the real time until it is moved.
func New(realFunc func() time.Time) *Clock { return &Clock{realFunc: realFunc} }

// Now is the real time and the offset.
func (c *Clock) Now() time.Time {
	now, _ := c.Read()
	return now
}

// Read returns the time and the offset that is in it.
func (c *Clock) Read() (now time.Time, offset time.Duration) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.realFunc().Add(c.offset), c.offset
}

// Set puts the clock so many seconds before the real one, or behind it when negative. Errors: ErrTooFar, and
// then the clock stays as it was.
func (c *Clock) Set(seconds float64) error { return c.move(seconds, false) }

// Advance moves the clock on from where it is, or back when negative. Errors: as Set's.
func (c *Clock) Advance(seconds float64) error { return c.move(seconds, true) }

func (c *Clock) move(seconds float64, on bool) error {
	if math.Abs(seconds) > farthest.Seconds() { // in floating point: a Duration would overflow
		return ErrTooFar
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	offset := time.Duration(math.Round(seconds * float64(time.Second)))
	if on {
		offset += c.offset
	}
	if offset.Abs() > farthest {
		return ErrTooFar
	}
	c.offset = offset
	return nil
}

// running returns a clock whose offset stays what it is now.
func (c *Clock) running() func() time.Time {
	_, offset := c.Read()
	return func() time.Time { return c.realFunc().Add(offset) }
}
