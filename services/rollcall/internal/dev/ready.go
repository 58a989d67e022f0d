package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	readyWithin  = 60 * time.Second
	readyEvery   = 50 * time.Millisecond
	probeTimeout = 3 * time.Second
	// A child that ends so often before it has ever worked has a reason that no restart mends.
	deathsAtStart = 3
	tailLines     = 5
)

// awaitReady waits until the child says that it can work. It fails when the child ends again and again, with
// what the child said last, or when it takes too long.
func (c *child) awaitReady(ctx context.Context, client *http.Client) error {
	bounded, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		address, deaths, last := c.health()
		if deaths >= deathsAtStart {
			return fmt.Errorf("%s ended %d times before it could work (%s); its log %s ends with:\n%s",
				c.name, deaths, reason(last), c.log.path, c.log.tail(tailLines))
		}
		notReady := errors.New("not running")
		if address != "" {
			if notReady = probe(bounded, client, "http://"+address+"/readyz"); notReady == nil {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-bounded.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("wait for %s: %w", c.name, context.Cause(ctx))
			}
			return fmt.Errorf("%s cannot work after %s (%w); see %s", c.name, readyWithin, notReady, c.log.path)
		}
	}
}

// probe is nil when the address answers 200, else what it says instead.
func probe(ctx context.Context, client *http.Client, address string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	said, err := io.ReadAll(io.LimitReader(answer.Body, 256))
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d: %s", answer.StatusCode, said)
	}
	return nil
}
