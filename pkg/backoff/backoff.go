// Package backoff says how long to wait before the next attempt, and waits.
//
// It owns the arithmetic of growing delays: the number of attempts is its caller's, who keeps it in a row, a message
// or a variable. It keeps no state and makes no attempts. A loop that makes a few attempts in place may take its delays
// from github.com/cenkalti/backoff instead.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Delays are delays that double with each attempt.
type Delays struct {
	First   time.Duration // after the first attempt
	Longest time.Duration // no delay is longer
	Jitter  float64       // the share of a delay that is left to chance, 0 to 1: a delay is shorter by up to this share
}

// After returns the delay after that many attempts. It is never longer than Longest, however many they are.
func (d Delays) After(attempts int) time.Duration {
	delay, doublings := d.Longest, max(attempts-1, 0)
	if d.First <= d.Longest>>doublings { // so that First<<doublings does not overflow
		delay = d.First << doublings
	}
	chance := time.Duration(d.Jitter * float64(delay))
	return delay - rand.N(chance+1) //nolint:gosec // jitter, not a secret
}

// Sleep returns nil after the delay, or the cause of the context's end as soon as it ends. If it has ended before, Sleep
// always says so, also without a delay.
func Sleep(ctx context.Context, delay time.Duration) error {
	if ctx.Err() != nil { // looked at first: select takes either if both are ready
		return context.Cause(ctx)
	}
	if delay <= 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
