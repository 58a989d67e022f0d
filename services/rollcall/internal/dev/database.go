package dev

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rollcall.dev/pkg/localserver"
)

// database is a Postgres that is kept running at one address until stop.
type database struct {
	config   localserver.PostgresConfig
	url      string
	tell     func(format string, values ...any)
	cancel   context.CancelFunc
	watching sync.WaitGroup
}

// startDatabase starts Postgres and returns when it takes connections; see localserver.StartPostgres for the
// kinds of error.
func startDatabase(ctx context.Context, dir string, tell func(string, ...any)) (*database, error) {
	d := &database{config: localserver.PostgresConfig{Dir: dir, Durable: true}, tell: tell}
	server, err := localserver.StartPostgres(ctx, d.config)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the operation itself
	}
	d.url = server.URL("rollcall")
	// Its users have been told this address: a Postgres that starts again must have it again.
	if d.config.Port, err = portOf(d.url); err != nil {
		server.Stop()
		return nil, err
	}
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.cancel = cancel
	d.watching.Go(func() { d.keep(keeping, server) })
	return d, nil
}

// stop ends it and returns when it has ended.
func (d *database) stop() {
	d.cancel()
	d.watching.Wait()
}

func (d *database) keep(ctx context.Context, server *localserver.Postgres) {
	pauses := &backoff.ExponentialBackOff{InitialInterval: firstPause, Multiplier: 2, MaxInterval: longestPause}
	pauses.Reset()
	for {
		began := time.Now()
		select {
		case <-ctx.Done():
			server.Stop()
			return
		case <-server.Done():
			server.Stop() // gives its folder back
		}
		if time.Since(began) > settledAfter {
			pauses.Reset()
		}
		if server = d.again(ctx, pauses); server == nil {
			return
		}
	}
}

// again starts it until that succeeds; nil when we are to stop.
func (d *database) again(ctx context.Context, pauses backoff.BackOff) *localserver.Postgres {
	for why := "it ended by itself"; ; {
		pause := pauses.NextBackOff()
		d.tell("postgres does not run (%s); it starts again in %s", why, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		server, err := localserver.StartPostgres(ctx, d.config)
		if err == nil {
			return server
		}
		why = err.Error()
	}
}

func portOf(address string) (int, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return 0, fmt.Errorf("read the address of postgres: %w", err)
	}
	port, err := strconv.Atoi(parsed.Port())
	if err != nil {
		return 0, fmt.Errorf("read the address of postgres: %w", err)
	}
	return port, nil
}
