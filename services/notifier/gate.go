package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
)

const (
	firstPause    = time.Second
	longestPause  = time.Minute
	maxRetryAfter = 10 * time.Minute // the longest Retry-After that is honoured
)

// gate keeps the messages from trying a channel that is down. Thousands of messages may wait, and each attempt may cost a
// timeout that delays the other channels of its message. The zero value is open.
type gate struct {
	mu          sync.Mutex
	closedUntil time.Time
	failures    int
	cause       error // of the last failure
}

// channelClosedError says that the channel is not tried before opensAfter has passed.
type channelClosedError struct {
	opensAfter time.Duration
	cause      error
}

// Error says how long the channel stays closed.
func (e *channelClosedError) Error() string {
	return fmt.Sprintf("the channel is down and will not be tried for another %s", e.opensAfter.Round(time.Second))
}

// channelDownError is a fault of the channel itself: every other message would fail, too.
type channelDownError struct{ error }

// Unwrap returns the fault.
func (e channelDownError) Unwrap() error { return e.error }

// run calls attempt unless the gate is closed. If the channel itself is at fault, run closes the gate: for a second, then
// twice as long each time, up to a minute; or for as long as the other side asked for.
func (g *gate) run(attempt func() error) error {
	g.mu.Lock()
	opens, cause := time.Until(g.closedUntil), g.cause
	g.mu.Unlock()
	if opens > 0 {
		return &channelClosedError{opensAfter: opens, cause: cause}
	}
	err := attempt()
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, down := errors.AsType[channelDownError](err); !down {
		g.failures, g.closedUntil, g.cause = 0, time.Time{}, nil
		return err
	}
	g.failures++
	wait := backoff.Delays{First: firstPause, Longest: longestPause, Jitter: 0.5}.After(g.failures)
	if named, ok := fault.After(err); ok {
		wait = max(wait, min(named, maxRetryAfter))
	}
	g.cause = err
	if until := time.Now().Add(wait); until.After(g.closedUntil) {
		g.closedUntil = until
	}
	return err
}
