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

// database keeps a Postgres running at one address until stop.
type database struct {
	config   localserver.PostgresConfig
	url      string
	say      func(format string, values ...any)
	cancel   context.CancelFunc
	watching sync.WaitGroup
}

// startDatabase starts Postgres and returns when it accepts connections. Errors: those of localserver.StartPostgres.
func startDatabase(ctx context.Context, dir string, say func(string, ...any)) (*database, error) {
	d := &database{config: localserver.PostgresConfig{Dir: dir, Durable: true}, say: say}
	server, err := localserver.StartPostgres(ctx, d.config)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the operation itself
	}
	d.url = server.URL("rollcall")
	// The services have this address: a Postgres that is started again must have the same.
	if d.config.Port, err = portOf(d.url); err != nil {
		server.Stop()
		return nil, err
	}
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.cancel = cancel
	d.watching.Go(func() { d.keep(keeping, server) })
	return d, nil
}

// stop ends Postgres.
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
			server.Stop() // releases its folder
		}
		if time.Since(began) > settledAfter {
			pauses.Reset()
		}
		if server = d.again(ctx, pauses); server == nil {
			return
		}
	}
}

// again tries to start Postgres until that succeeds. It returns nil after stop.
func (d *database) again(ctx context.Context, pauses backoff.BackOff) *localserver.Postgres {
	for why := "it ended by itself"; ; {
		pause := pauses.NextBackOff()
		d.say("postgres does not run (%s); it starts again in %s", why, pause)
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
