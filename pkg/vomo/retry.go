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
	// maxPause is the longest pause that fetch waits itself, since it holds a worker's slot meanwhile.
	maxPause = 10 * time.Second
)

// ask is a request for one page, for the user of an id, or to upsert a user. awaitSend is called before each HTTP request
// for it.
type ask struct {
	id             string // "" for a page
	participations bool   // of the id's user, who need not be whole
	upsert         []byte // the user to upsert; nil to read
	number         int
	query          Query
	attempts       int
	probe          bool // to check the token: the page's content does not matter
	awaitSend      func(ctx context.Context) error
}

// again marks a fault that another attempt may not have; after is how long to wait first, 0 for the default delay.
type again struct {
	err   error
	after time.Duration
}

func (a *again) Error() string { return a.err.Error() }
func (a *again) Unwrap() error { return a.err }

// fetch requests a page until it has it, the fault cannot be fixed by another attempt, or the attempts are used up.
//
// The delays come from package backoff. The loop is our own because backoff.Retry has a private timer and waits for
// any pause; this loop has a replaceable timer and returns long pauses to the caller.
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

// awaitSend asks Before whether the next request may be sent.
func (c *Client) awaitSend(ctx context.Context) error {
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
	return fmt.Errorf("wait to send: %w", err)
}
