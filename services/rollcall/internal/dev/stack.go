package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// stack has everything that runs.
type stack struct {
	folder   *folder
	screen   *screen
	bin      string
	environ  []string // the caller's
	settings config.Config
	children *supervisor
	heirs    *lock // held by every child

	natsPort    int
	sandboxPort int
	webhookPort int
	consolePort int
	nats        *localserver.NATS
	database    *database
	conn        *nats.Conn
	sandbox     *sandbox
}

// reconciledByHand leaves reconciliations with Virtuous to the demonstration, which requests them when it has said why.
const reconciledByHand = "GIVING_RECONCILE_EVERY=168h"

// newStack checks, before anything is created, that the programs exist and that the services accept the settings.
func newStack(opts options, environ []string, shown *screen, hurry <-chan struct{}) (*stack, error) {
	bin, err := findPrograms(opts.bin)
	if err != nil {
		return nil, err
	}
	if opts.demoGiving {
		environ = append(slices.Clip(environ), reconciledByHand)
	}
	settings, err := config.Load(environment(environ, own{}))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the settings
	}
	client := &http.Client{Transport: &http.Transport{}} // without a proxy: everything is on this machine
	return &stack{
		screen: shown, bin: bin, environ: environ, settings: settings, children: &supervisor{client: client, hurry: hurry},
	}, nil
}

// start starts everything in the order of the dependencies, and returns when all parts are ready. The caller calls stop,
// also after an error.
func (s *stack) start(ctx context.Context, opts options) error {
	var err error
	if s.heirs, err = takeAfterLeftovers(ctx, s.folder.in("children.lock"), func() {
		s.screen.sayf("waiting for the processes of an earlier run to end")
	}); err != nil {
		return err
	}
	if err := s.choosePorts(opts); err != nil {
		return err
	}
	s.sandbox = &sandbox{address: "http://" + loopback(s.sandboxPort), client: s.children.client}
	if err := s.startServers(ctx); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	ours := own{
		databaseURL: s.database.url, natsURL: s.nats.URL(), sandbox: s.sandbox.address, keyFile: s.folder.in("secrets.key"),
		webhooks: loopback(s.webhookPort),
	}
	if err := s.folder.writeEnv(ours); err != nil {
		return err
	}
	return s.startPrograms(ctx, environment(s.environ, ours))
}

func (s *stack) startServers(ctx context.Context) error {
	key, err := s.folder.natsKey()
	if err != nil {
		return err
	}
	if s.nats, err = localserver.StartNATS(localserver.NATSConfig{
		StoreDir: s.folder.in("nats"), Port: s.natsPort, JetStreamKey: key, SyncAlways: true,
		ServerName: "rollcall-dev", LogFile: s.folder.logFile("nats"),
	}); err != nil {
		return err //nolint:wrapcheck // it names the operation itself
	}
	s.database, err = startDatabase(ctx, s.folder.postgres(), s.screen.sayf)
	return err
}

// prepare does the work of `rollcall migrate`.
func (s *stack) prepare(ctx context.Context) error {
	s.settings.DatabaseURL, s.settings.NATSURL = s.database.url, s.nats.URL()
	if err := store.Migrate(ctx, s.settings.DatabaseURL); err != nil {
		return err //nolint:wrapcheck // it names the operation itself
	}
	var err error
	// The connection logs nothing: the server is in this process, and ends after the connection.
	if s.conn, err = service.Connect(s.settings, "rollcall-dev", zap.NewNop()); err != nil {
		return err //nolint:wrapcheck // it names the operation itself
	}
	streams, err := jetstream.New(s.conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	_, err = service.Layout(s.settings, false).Ensure(ctx, streams)
	return err //nolint:wrapcheck // it names the operation itself
}

// stop ends everything in the reverse order, so that NATS and Postgres still run while the services finish their work.
func (s *stack) stop() error {
	err := errors.Join(s.children.stop(), s.folder.removeEnv())
	if s.conn != nil {
		s.conn.Close()
	}
	if s.database != nil {
		s.database.stop()
	}
	if s.nats != nil {
		s.nats.Shutdown()
	}
	s.children.client.CloseIdleConnections()
	if s.heirs != nil {
		err = errors.Join(err, s.heirs.release())
	}
	return err
}

const (
	highestPort = 65535
	portsTried  = 100
)

// errPortTaken means that another process listens on the requested port.
var errPortTaken = errors.New("is taken; stop what listens there, or choose another one")

// choosePort returns the requested port (an error if it is taken), else the port of the last start, else the usual one,
// else the next free one.
func choosePort(asked, last, usual int) (int, error) {
	if asked != 0 {
		if !portFree(asked) {
			return 0, fmt.Errorf("port %d %w", asked, errPortTaken)
		}
		return asked, nil
	}
	if last != 0 && portFree(last) {
		return last, nil
	}
	for port := usual; port < usual+portsTried; port++ {
		if portFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free", usual, usual+portsTried-1)
}

func portFree(port int) bool {
	listener, err := net.Listen("tcp", loopback(port)) //nolint:noctx // it returns at once
	return err == nil && listener.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// choosePorts uses the ports of the last start if they are free: operators have them in their shells, and customers have
// the sandbox's port in their destination URL. A taken port is replaced for this start only.
func (s *stack) choosePorts(opts options) error {
	kept := &s.folder.memory
	fresh := kept.SandboxPort == 0
	var err error
	if s.natsPort, err = choosePort(opts.natsPort, kept.NATSPort, usualNATSPort); err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	if s.sandboxPort, err = choosePort(opts.sandboxPort, kept.SandboxPort, usualSandboxPort); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if s.webhookPort, err = choosePort(0, kept.WebhookPort, usualWebhookPort); err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	if s.consolePort, err = choosePort(0, kept.ConsolePort, usualConsolePort); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	if wanted := cmp.Or(opts.natsPort, kept.NATSPort, usualNATSPort); s.natsPort != wanted {
		s.screen.sayf("port %d is taken: NATS listens on %d", wanted, s.natsPort)
	}
	if wanted := cmp.Or(opts.sandboxPort, kept.SandboxPort, usualSandboxPort); s.sandboxPort != wanted {
		s.screen.sayf("port %d is taken: the sandbox listens on %d", wanted, s.sandboxPort)
	}
	if !fresh && s.sandboxPort != kept.SandboxPort {
		s.screen.sayf("customers onboarded while the sandbox had port %d have their destination there, and wait for it", kept.SandboxPort)
	}
	before := *kept
	kept.NATSPort = cmp.Or(opts.natsPort, kept.NATSPort, s.natsPort)
	kept.SandboxPort = cmp.Or(opts.sandboxPort, kept.SandboxPort, s.sandboxPort)
	kept.WebhookPort = cmp.Or(kept.WebhookPort, s.webhookPort)
	kept.ConsolePort = cmp.Or(kept.ConsolePort, s.consolePort)
	if *kept == before {
		return nil
	}
	return s.folder.remember()
}
