package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/localserver"
)

// Names of the processes of a round. Those of services are also the names of their programs.
const (
	partPostgres   = "postgres"
	partNATS       = "natsserver"
	partSandbox    = "sandbox"
	partOnboarding = "onboarding"
	partBackfill   = "backfill"
	partPoller     = "poller"
	partRetrier    = "dlqretry"
	partWebhooks   = "webhooks"
	partDonations  = "donations"

	programGivingLimit = "givinglimit"
)

// programNames are the names of all programs that rounds start.
func programNames() []string {
	return []string{
		partNATS, partSandbox, partOnboarding, partBackfill, partPoller, partRetrier, partWebhooks, partDonations, limit, programGivingLimit,
	}
}

// installation is a new database, a new NATS server and a new sandbox, with the programs of one round.
type installation struct {
	environment *environment
	name        string // also the database's
	dir         string
	url         string // the database's
	parts       map[string]*process
	health      map[string]string // addresses where the services serve health and profiles
	conn        *nats.Conn
	stream      jetstream.JetStream
	sandbox     *sandbox
	polled      []string // customers who are only polled, see addPolled
}

// install makes an installation without any service. After an error nothing is left running.
func (e *environment) install(ctx context.Context, name string) (_ *installation, err error) {
	i := &installation{
		environment: e, name: name, dir: filepath.Join(e.dir, name), parts: map[string]*process{}, health: map[string]string{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := os.Mkdir(i.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if i.url, err = e.postgres.fresh(ctx, name); err != nil {
		return nil, err
	}
	standIn, address, err := serving(ctx, i.dir, launch{name: partSandbox, path: e.opts.programs[partSandbox]})
	if err != nil {
		return nil, err
	}
	i.parts[partSandbox], i.sandbox = standIn, &sandbox{address: address}
	return i, i.startNATS(ctx)
}

func (i *installation) startNATS(ctx context.Context) error {
	port, err := localserver.FreePort()
	if err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	p, err := start(i.dir, launch{
		name: partNATS, path: i.environment.opts.programs[partNATS],
		args: []string{"-store", filepath.Join(i.dir, "streams"), "-port", strconv.Itoa(port)},
	})
	if err != nil {
		return err
	}
	i.parts[partNATS] = p
	url := "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := p.until(ctx, func(context.Context) error {
		i.conn, err = nats.Connect(url)
		return err
	}); err != nil {
		return err
	}
	if i.stream, err = jetstream.New(i.conn); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	return bus.Ensure(ctx, i.stream, 1, i.environment.opts.claim)
}

// start starts services, whose settings are the defaults, except that VOMO's limits are as high as they go, and those of -set.
func (i *installation) start(ctx context.Context, services ...string) error {
	for _, name := range services {
		if err := i.startAs(ctx, name, name); err != nil {
			return err
		}
	}
	return nil
}

// startAs starts a service under the name of a part, with more settings.
func (i *installation) startAs(ctx context.Context, part, service string, more ...string) error {
	env := []string{
		"DATABASE_URL=" + i.url, "NATS_URL=" + i.conn.ConnectedUrl(), "SECRETS_URL=" + i.secrets(),
		"VOMO_BASE_URL=" + i.sandbox.vomo(), "VOMO_REQUESTS_PER_SECOND=100000", "VOMO_REQUESTS_PER_MINUTE=0",
		"VIRTUOUS_BASE_URL=" + i.sandbox.address + "/virtuous", "ALLOW_PRIVATE_DESTINATIONS=true",
		"CLAIM_TIMEOUT=" + i.environment.opts.claim.String(),
		"HTTP_PROFILES=" + strconv.FormatBool(i.environment.opts.profiles != ""),
	}
	p, address, err := serving(ctx, i.dir, launch{
		name: part, path: i.environment.opts.programs[service], env: slices.Concat(env, more, i.environment.opts.settings),
	})
	if err != nil {
		return err
	}
	i.parts[part], i.health[part] = p, address
	return nil
}

func (i *installation) secrets() string { return "dev:" + filepath.Join(i.dir, "secrets.key") }

// stopPart ends a service, after which it is not measured.
func (i *installation) stopPart(part string) error {
	p := i.parts[part]
	delete(i.parts, part)
	delete(i.health, part)
	return p.stop()
}

// withLogs adds the ends of the services' logs to an error.
func (i *installation) withLogs(err error) error {
	for part := range i.health {
		err = i.parts[part].withLog(err)
	}
	return err
}

// close ends the services before the servers that they use.
func (i *installation) close(ctx context.Context) error {
	var err error
	for _, p := range i.parts {
		if p.name != partNATS && p.name != partSandbox {
			_ = p.child.Signal(syscall.SIGTERM) // all end at the same time; stop waits for each
		}
	}
	for name, p := range i.parts {
		if name != partNATS && name != partSandbox {
			err = errors.Join(err, p.stop())
		}
	}
	if i.conn != nil {
		i.conn.Close()
	}
	for _, name := range []string{partNATS, partSandbox} {
		if p := i.parts[name]; p != nil {
			err = errors.Join(err, p.stop())
		}
	}
	if i.url != "" {
		err = errors.Join(err, i.environment.postgres.drop(ctx, i.name))
	}
	return errors.Join(err, os.RemoveAll(i.dir))
}

func (i *installation) exec(ctx context.Context, statement string, arguments ...any) error {
	return i.environment.postgres.with(ctx, i.name, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement, arguments...)
		return err
	})
}

// number returns what a query returns.
func (i *installation) number(ctx context.Context, query string, arguments ...any) (found float64, err error) {
	err = i.environment.postgres.with(ctx, i.name, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, query, arguments...).Scan(&found) })
	return found, err
}

// How often the end of a round is looked for: often enough for rounds of seconds, and cheap; or for rounds of parts of a second.
const (
	lookEvery   = 25 * time.Millisecond
	lookClosely = 5 * time.Millisecond
)

// await looks on one connection until a query counts at least so many, and returns how many.
func (i *installation) await(ctx context.Context, query string, wanted int, arguments ...any) (count int, err error) {
	return i.awaitEvery(ctx, lookEvery, query, wanted, arguments...)
}

func (i *installation) awaitEvery(ctx context.Context, every time.Duration, query string, wanted int, arguments ...any) (count int, err error) {
	err = i.environment.postgres.with(ctx, i.name, func(conn *pgx.Conn) error {
		return until(ctx, every, func(ctx context.Context) (bool, error) {
			err := conn.QueryRow(ctx, query, arguments...).Scan(&count)
			return count >= wanted, err
		})
	})
	return count, err
}

// until looks again and again until something holds.
func until(ctx context.Context, every time.Duration, holds func(ctx context.Context) (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := holds(ctx); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// messages returns how many messages a stream has on the matching subjects.
func (i *installation) messages(ctx context.Context, name, filter string) (count int, err error) {
	stream, err := i.stream.Stream(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("look up stream: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return 0, fmt.Errorf("count messages: %w", err)
	}
	for _, messages := range info.State.Subjects {
		count += int(messages) //nolint:gosec // far below
	}
	return count, nil
}
