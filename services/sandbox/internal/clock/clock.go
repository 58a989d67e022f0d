// Package clock returns the time of the sandbox's VOMO and CRM. A test may move it.
//
// It owns the offset to the real clock and the Date header of the answers. It promises that the clock runs on between two
// moves, so that minutes of a test can cover a day. Traffic counts, delays and the ends of faults use the real time, not
// this clock. The offset does not survive a restart.
package clock

import (
	"errors"
	"math"
	"net/http"
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

// Now returns the real time plus the offset.
func (c *Clock) Now() time.Time {
	now, _ := c.Read()
	return now
}

// Read returns the time and the offset that it includes.
func (c *Clock) Read() (now time.Time, offset time.Duration) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.realFunc().Add(c.offset), c.offset
}

// Set sets the clock so many seconds ahead of the real one, or behind it if negative. After an ErrTooFar the clock is
// unchanged.
func (c *Clock) Set(seconds float64) error { return c.move(seconds, false) }

// Advance moves the clock forward, or back if negative. Errors: as Set's.
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

// running returns a clock that keeps the present offset.
func (c *Clock) running() func() time.Time {
	_, offset := c.Read()
	return func() time.Time { return c.realFunc().Add(offset) }
}

// Dated sets the Date header of every answer to the clock's time; net/http would set the real time. The time is read
// when the answer begins, with the offset of the moment when the request came. Otherwise a jump of an hour during a
// request would give the answer a Date an hour after the state that it shows, and a client that continues from that Date
// would miss the hour.
func Dated(c *Clock, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&dated{ResponseWriter: w, nowFunc: c.running()}, r)
	})
}

type dated struct {
	http.ResponseWriter

	nowFunc func() time.Time
	begun   bool
}

// WriteHeader dates the answer and sends its status.
func (d *dated) WriteHeader(status int) {
	d.begin()
	d.ResponseWriter.WriteHeader(status)
}

// Write dates the answer, if it has no status yet, and sends a part of its body.
func (d *dated) Write(body []byte) (int, error) {
	d.begin()
	return d.ResponseWriter.Write(body) //nolint:wrapcheck // a writer's own errors are its caller's contract
}

func (d *dated) begin() {
	if !d.begun {
		d.begun = true
		d.Header().Set("Date", d.nowFunc().UTC().Format(http.TimeFormat))
	}
}

// Unwrap lets net/http use the other methods of the wrapped writer.
func (d *dated) Unwrap() http.ResponseWriter { return d.ResponseWriter }
