//go:build unix

package localserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/backoff"
)

const (
	readyWithin       = 60 * time.Second
	startTries        = 4
	retryPause        = 150 * time.Millisecond
	longestRetryPause = 450 * time.Millisecond
	maxConnection     = 600 // four test packages at once, each with several services
)

// PostgresConfig says where the Postgres keeps its data and how it listens.
type PostgresConfig struct {
	// Dir is the server's folder: its data, its password, the last used port and its log. Required. If this process
	// is root, the server runs as the user postgres (or the system's unprivileged user), which becomes the owner of
	// the folder. If that user cannot reach the folder (a parent such as /root is closed), everything is kept in a
	// folder under /var/lib/rollcall-dev instead (or under the temporary folder), and the link Dir/postgres-is-in
	// leads there.
	Dir string
	// Port is the port of 127.0.0.1 to listen on; 0 means the last used port if it is free, otherwise a free one.
	Port int
	// Durable makes committed data survive a crash of the machine. False is faster, and is for tests.
	Durable bool
	// Settings are further settings of the server, each as name=value. They win over those that this package sets.
	Settings []string
}

// Postgres is a running server with one superuser, rollcall, and the database rollcall.
type Postgres struct {
	home     *pgHome
	child    *Child
	port     int
	password string
}

// StartPostgres starts the machine's Postgres as a child process and returns when it accepts connections. Started
// again with the same Dir, it has the same databases and the same password. ctx applies to the start only: the server
// runs until Stop. If this process dies without Stop, the server shuts down by itself (on Linux); if it did not, the
// next start in the same Dir stops it first. Errors: ErrNoPostgres, ErrInUse, or an error that ends with the last
// lines of the server's log.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	p, err := startPostgres(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	return p, nil
}

func startPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	if cfg.Dir == "" {
		return nil, errors.New("no folder")
	}
	bin, err := findPostgres(ctx, debianPostgres, exec.LookPath)
	if err != nil {
		return nil, err
	}
	home, err := openHome(ctx, cfg.Dir, bin)
	if err != nil {
		return nil, err
	}
	p, err := home.start(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, home.close())
	}
	return p, nil
}

func (h *pgHome) start(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	password, err := h.initialise(ctx, cfg.Durable)
	if err != nil {
		return nil, err
	}
	if err := h.clearStale(ctx); err != nil {
		return nil, err
	}
	// A second try uses another port, if a process took this one meanwhile. By then the last backends of a killed
	// server are gone, which hold its shared memory for a moment longer.
	for try := 1; ; try++ {
		port, err := h.port(cfg.Port)
		if err != nil {
			return nil, err
		}
		p := &Postgres{home: h, port: port, password: password}
		if err = p.run(ctx, cfg); err == nil {
			return p, nil
		}
		if try == startTries || !errors.Is(err, errEnded) {
			return nil, err
		}
		if ended := backoff.Sleep(ctx, backoff.Delays{First: retryPause, Longest: longestRetryPause}.After(try)); ended != nil {
			return nil, errors.Join(ended, err)
		}
	}
}

// errEnded means that the server ended by itself during the start.
var errEnded = errors.New("the server ended at once")

func (p *Postgres) run(ctx context.Context, cfg PostgresConfig) error {
	out, err := p.home.openLog()
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the child has its own handle
	info, err := out.Stat()
	if err != nil {
		return err
	}
	// Not ctx: the server continues after the start.
	cmd := p.home.command(context.WithoutCancel(ctx), "postgres", p.arguments(cfg)...)
	cmd.Stdout, cmd.Stderr = out, out
	if p.child, err = StartChild(cmd, syscall.SIGINT); err != nil {
		return err
	}
	if err := p.prepare(ctx); err != nil {
		stopChild(p.child)
		return fmt.Errorf("%w\n%s", err, p.home.logTail(info.Size()))
	}
	return nil
}

func (p *Postgres) arguments(cfg PostgresConfig) []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(p.port),
		"unix_socket_directories=", // socket paths have a length limit, which test folders exceed
		"max_connections=" + strconv.Itoa(maxConnection),
		"timezone=UTC",
		// The log must not contain personal data: a DETAIL line shows the values of a violated key, a STATEMENT line
		// the statement.
		"log_error_verbosity=terse",
		"log_min_error_statement=panic",
	}
	if !cfg.Durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	args := []string{"-D", p.home.path(dataFolder)}
	for _, s := range append(settings, cfg.Settings...) {
		args = append(args, "-c", s)
	}
	return args
}

// prepare waits until the server accepts connections and creates the database rollcall.
func (p *Postgres) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, superuser).Scan(&there); err != nil {
		return fmt.Errorf("look for database %s: %w", superuser, err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+superuser); err != nil {
		return fmt.Errorf("create database %s: %w", superuser, err)
	}
	return nil
}

func (p *Postgres) connect(ctx context.Context) (*pgx.Conn, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			return conn, nil
		}
		select {
		case <-p.child.Done():
			return nil, errEnded
		case <-ctx.Done():
			return nil, fmt.Errorf("not ready: %w", errors.Join(context.Cause(ctx), err))
		case <-tick.C:
		}
	}
}

// URL returns the address of a database. It contains the superuser's password and must not be logged.
func (p *Postgres) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, p.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Dir returns the folder that holds the data; see PostgresConfig.Dir.
func (p *Postgres) Dir() string { return p.home.dir }

// PID returns the server's process id.
func (p *Postgres) PID() int { return p.child.PID() }

// Done is closed when the server has ended, by Stop or by itself.
func (p *Postgres) Done() <-chan struct{} { return p.child.Done() }

// Stop ends the server and returns when it has ended. It first requests a fast shutdown, which closes open
// connections and keeps all committed data; after 10 s an immediate one, from which the next start recovers. A second
// call does nothing.
func (p *Postgres) Stop() {
	stopChild(p.child)
	_ = p.home.close() // fails only if a second Stop closes it again
}

func stopChild(c *Child) {
	for _, step := range []struct {
		sig    syscall.Signal
		within time.Duration
	}{{syscall.SIGINT, fastStop}, {syscall.SIGQUIT, immediateStop}} {
		_ = c.Signal(step.sig) // fails only if the server has ended
		select {
		case <-c.Done():
			return
		case <-time.After(step.within):
		}
	}
	_ = c.SignalGroup(syscall.SIGKILL)
	<-c.Done()
}
