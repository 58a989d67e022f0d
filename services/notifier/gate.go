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
	firstClosed   = time.Second
	longestClosed = time.Minute
	longestNamed  = 10 * time.Minute // believed of a Retry-After
)

// gate keeps a channel that is down from being tried by each message for itself: thousands may wait, and each attempt
// may cost a timeout that holds up the other channels of its message. The zero value is open.
type gate struct {
	mu       sync.Mutex
	until    time.Time
	failures int
	cause    error // of the last failure
}

// closedError says that the channel is not tried before opens has passed.
type closedError struct {
	opens time.Duration
	cause error
}

// Error says how long that is.
func (e *closedError) Error() string {
	return fmt.Sprintf("the channel is down, and not tried for another %s", e.opens.Round(time.Second))
}

// downError is a fault of the channel itself, which every other message would meet, too.
type downError struct{ error }

// Unwrap is the fault.
func (e downError) Unwrap() error { return e.error }

// through runs attempt unless the channel is closed, and closes it where the channel itself is at fault: for a
// second, then twice as long each time, up to a minute; or for as long as the other side asked for.
func (g *gate) through(attempt func() error) error {
	g.mu.Lock()
	opens, cause := time.Until(g.until), g.cause
	g.mu.Unlock()
	if opens > 0 {
		return &closedError{opens: opens, cause: cause}
	}
	err := attempt()
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, down := errors.AsType[downError](err); !down {
		g.failures, g.until, g.cause = 0, time.Time{}, nil
		return err
	}
	g.failures++
	wait := backoff.Delays{First: firstClosed, Longest: longestClosed, Jitter: 0.5}.After(g.failures)
	if named, ok := fault.After(err); ok {
		wait = max(wait, min(named, longestNamed))
	}
	g.cause = err
	if until := time.Now().Add(wait); until.After(g.until) {
		g.until = until
	}
	return err
}
