package vomo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	firstDelay = 250 * time.Millisecond
	maxDelay   = 4 * time.Second
	// maxPause is the longest pause that is waited out here, where it holds a worker's slot.
	maxPause = 10 * time.Second
)

// ask is one page wanted, or the user of an id: leave is called before each request for it.
type ask struct {
	id       string // "" for a page
	number   int
	query    Query
	attempts int
	probe    bool // for the token's sake: what the page holds does not matter
	leave    func(ctx context.Context) error
}

// again marks a fault that another attempt may not meet; after is how long to wait first, 0 for our own delay.
type again struct {
	err   error
	after time.Duration
}

func (a *again) Error() string { return a.err.Error() }
func (a *again) Unwrap() error { return a.err }

// fetch tries a page until it is there, the fault is one that no attempt mends, or the attempts are spent.
//
// The delays are backoff's; the loop is ours because backoff.Retry keeps its timer to itself, and waits out
// whatever pause it is told, while ours has to be replaceable and to hand long pauses back.
func (c *Client) fetch(ctx context.Context, a ask) (answer, error) {
	delays := backoff.ExponentialBackOff{
		InitialInterval: firstDelay, MaxInterval: maxDelay,
		Multiplier: 2, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
	delays.Reset()
	for try := 1; ; try++ {
		ans, err := c.attempt(ctx, a)
		if err == nil {
			return ans, nil
		}
		var retry *again
		if !errors.As(err, &retry) {
			return answer{}, err
		}
		if try >= a.attempts {
			return answer{}, retry.err
		}
		delay := delays.NextBackOff()
		if retry.after > 0 {
			delay = retry.after
		}
		if err := c.sleep(ctx, delay); err != nil {
			return answer{}, fmt.Errorf("wait for the next attempt: %w", err)
		}
	}
}

// leave asks Before whether the next request may go.
func (c *Client) leave(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := c.before(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx) // says more than "context canceled"
	}
	return fmt.Errorf("wait for leave to send: %w", err)
}
