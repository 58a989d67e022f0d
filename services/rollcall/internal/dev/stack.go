package dev

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// stack is everything that runs.
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
	nats        *localserver.NATS
	database    *database
	conn        *nats.Conn
	sandbox     *sandbox
}

// newStack checks what can be checked before anything is made: that the programs are there, and that the settings
// are ones with which the services start.
func newStack(opts options, environ []string, shown *screen, hurry <-chan struct{}) (*stack, error) {
	bin, err := findPrograms(opts.bin)
	if err != nil {
		return nil, err
	}
	settings, err := config.Load(environment(environ, own{}))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the settings
	}
	client := &http.Client{Transport: &http.Transport{}} // no proxy: everything is on this machine
	return &stack{
		screen: shown, bin: bin, environ: environ, settings: settings, children: &supervisor{client: client, hurry: hurry},
	}, nil
}

// start starts everything in the order in which the parts need each other, and returns when all of it can work.
// After an error too, the caller stops it.
func (s *stack) start(ctx context.Context, opts options) error {
	var err error
	if s.heirs, err = takeAfterLeftovers(ctx, s.folder.in("children.lock"), func() {
		s.screen.tellf("waiting for the processes of an earlier run to end")
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
	s.database, err = startDatabase(ctx, s.folder.postgres(), s.screen.tellf)
	return err
}

// prepare does what `rollcall migrate` does.
func (s *stack) prepare(ctx context.Context) error {
	s.settings.DatabaseURL, s.settings.NATSURL = s.database.url, s.nats.URL()
	if err := store.Migrate(ctx, s.settings.DatabaseURL); err != nil {
		return err //nolint:wrapcheck // it names the operation itself
	}
	var err error
	// Silent: the server is in this process, and it ends after the connection.
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

// stop ends everything in the reverse order: the services finish what they have in hand on a bus and a database
// that still run.
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
