package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/telemetry/otlp"
	"rollcall.dev/pkg/vault"
)

// Service is what a service's own work uses.
type Service struct {
	Name      string
	Instance  string // unique to this process; it holds the leases
	Config    config.Config
	Logger    *zap.Logger
	Registry  *prometheus.Registry
	Conn      *nats.Conn
	JetStream jetstream.JetStream
	Store     *store.Store
	Vault     *vault.Vault
	Micro     micro.Service
	// HTTP is what HTTP_ADDR serves. A service that has pages adds them before it calls Ready.
	HTTP    *http.ServeMux
	Tracing *telemetry.Tracing // nil: nothing is traced

	ready   func()
	refused func() time.Duration // for how long the streams have rejected everything
}

// Ready reports that the service works, to health probes and in the log. Run calls it when the service answers its
// requests: a caller that sees a ready service may ask at once.
func (s *Service) Ready() { s.ready() }

// Run is a service's own work. It calls Ready, and returns when ctx has ended and no work is in progress, or with an
// error that a restart may fix.
type Run func(ctx context.Context, service *Service) error

const (
	flushTime = 3 * time.Second
	closeTime = 5 * time.Second
	// The transaction of a stopped worker releases its locks well before its lease ends.
	longestIdle = 10 * time.Second
	// Three months are created ahead, so that there is time if a lock for a month cannot be had.
	auditMonthsEvery = 10 * time.Minute
)

// Main runs a service from the process's environment until SIGTERM or SIGINT, and returns the exit status. With
// -healthcheck it only asks the running service.
func Main(name string, run Run) int {
	settings, err := config.FromEnvironment()
	if err != nil {
		return refuse(os.Stderr, name, err)
	}
	if asksForHealth(os.Args[1:]) {
		return healthcheck(context.Background(), settings.HTTPAddr, name, os.Stderr)
	}
	if settings.DatabaseURL == "" {
		return refuse(os.Stderr, name, errors.New("DATABASE_URL is missing: postgres://user:password@host:port/database"))
	}
	logger, err := NewLogger(settings.LogLevel, settings.LogFormat, os.Stderr)
	if err != nil {
		return refuse(os.Stderr, name, err)
	}
	logger = logger.With(zap.String("service", name))
	collectSeldom()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	status := 0
	if err := Serve(ctx, name, settings, logger, run); err != nil {
		logger.Error("stopped", zap.Error(err))
		status = 1
	}
	if err := logger.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTTY) {
		return refuse(os.Stderr, name, err)
	}
	return status
}

func refuse(out io.Writer, name string, err error) int {
	if _, werr := fmt.Fprintf(out, "%s: %v\n", name, err); werr != nil {
		return 2
	}
	return 1
}

// Serve runs a service until ctx ends: Main without the parts for a process.
func Serve(ctx context.Context, name string, settings config.Config, logger *zap.Logger, run Run) (err error) {
	service := &Service{Name: name, Instance: instanceName(name), Config: settings, Logger: logger, Registry: newRegistry(), HTTP: http.NewServeMux()}
	var closers []func() error
	defer func() {
		for _, closer := range slices.Backward(closers) {
			err = errors.Join(err, closer())
		}
	}()
	health := &health{}
	address, closeHTTP, err := health.serve(settings, service.HTTP, service.Registry, logger)
	if err != nil {
		return err
	}
	closers = append(closers, closeHTTP)
	endTracing, err := service.trace(ctx)
	if err != nil {
		return err
	}
	closers = append(closers, endTracing)
	if closers, err = service.open(ctx, closers); err != nil {
		if ctx.Err() != nil {
			return nil // stopped during the start
		}
		return err
	}
	service.ready = func() {
		if health.ready(service) {
			logger.Info("ready", zap.String("version", Version), zap.String("http", address), zap.String("instance", service.Instance))
		}
	}
	unready := context.AfterFunc(ctx, health.stopping) // not ready from the signal on, not only after draining
	defer unready()

	publisher := &outboxPublisher{bus: bus.Publisher{JetStream: service.JetStream, Logger: logger}, tracing: service.Tracing}
	service.refused = publisher.rejection.active
	relay := &store.Relay{Store: service.Store, Publisher: publisher, Logger: logger}
	relaying, stopRelay := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { relay.Run(relaying) })
	background.Go(func() { service.makeAuditMonths(relaying) })

	err = run(service.Tracing.Into(ctx), service)
	health.stopping()
	stopRelay()
	background.Wait()
	flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	relay.Flush(flushing)
	if err == nil {
		logger.Info("drained")
	}
	return err
}

// trace opens the export of traces. end sends what is left.
func (s *Service) trace(ctx context.Context) (end func() error, err error) {
	tracing, endTracing, err := otlp.Open(ctx, otlp.Config{
		Endpoint: s.Config.TracesEndpoint, Share: s.Config.TracesShare, Service: s.Name, Instance: s.Instance, Version: Version,
		Customers: s.Config.MetricsCustomerLabel, Logger: s.Logger, Registry: s.Registry,
	})
	s.Tracing = tracing
	return func() error {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		endTracing(ending)
		return nil
	}, err
}

// makeAuditMonths creates the partitions of the months that the audit needs, at once and at intervals. Without them
// the audit uses its default partition.
func (s *Service) makeAuditMonths(ctx context.Context) {
	ticker := time.NewTicker(auditMonthsEvery)
	defer ticker.Stop()
	for {
		if err := s.Store.EnsureAuditMonths(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Warn("the audit's months were not made; it is tried again", zap.Error(err))
		}
		s.moveAuditDefault(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// auditMoves bounds how many batches of lines one round moves out of the audit's default partition.
const auditMoves = 100

// moveAuditDefault empties the audit's default partition, as far as one round goes.
func (s *Service) moveAuditDefault(ctx context.Context) {
	for range auditMoves {
		more, err := s.Store.MoveAuditDefault(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.Warn("lines of the audit were not moved to their month; it is tried again", zap.Error(err))
		}
		if err != nil || !more {
			return
		}
	}
}

// open connects everything, in the order of dependence.
func (s *Service) open(ctx context.Context, closers []func() error) ([]func() error, error) {
	var err error
	if s.Store, err = waitFor(ctx, s.Logger, "Postgres", func(ctx context.Context) (*store.Store, error) {
		return store.Open(ctx, s.Config.DatabaseURL, store.Options{IdleInTransaction: min(longestIdle, s.Config.ClaimTimeout/2)})
	}); err != nil {
		return closers, err
	}
	closers = append(closers, func() error { s.Store.Close(); return nil })
	if err := store.CheckSchema(ctx, s.Config.DatabaseURL); err != nil {
		return closers, err
	}
	keeper, err := vault.OpenKeeper(ctx, s.Config.SecretsURL, s.Config.SecretsURLNext)
	if err != nil {
		return closers, err
	}
	closers = append(closers, keeper.Close)
	s.Vault = &vault.Vault{Keeper: keeper, Keys: s.Store}
	if s.Conn, err = waitFor(ctx, s.Logger, "NATS", func(context.Context) (*nats.Conn, error) {
		return Connect(s.Config, "rollcall-"+s.Name, s.Logger)
	}); err != nil {
		return closers, err
	}
	closers = append(closers, func() error { return drainConn(s.Conn) })
	if s.JetStream, err = jetstream.New(s.Conn, jetstream.WithPublishAsyncTimeout(closeTime)); err != nil {
		return closers, fmt.Errorf("open JetStream: %w", err)
	}
	if _, err = waitFor(ctx, s.Logger, "streams", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, bus.Verify(ctx, s.JetStream, s.Config.ClaimTimeout)
	}); err != nil {
		return closers, err
	}
	s.Micro, err = micro.AddService(s.Conn, micro.Config{
		Name: "rollcall-" + s.Name, Version: Version, Description: "rollcall " + s.Name,
		Metadata: map[string]string{MetadataKeys: strings.Join(keeper.IDs(), ","), MetadataLetters: "by-letter"},
	})
	if err != nil {
		return closers, fmt.Errorf("answer as a NATS service: %w", err)
	}
	if err := s.Conn.FlushTimeout(closeTime); err != nil { // the server must know the subscriptions before this service is ready
		return append(closers, s.Micro.Stop), fmt.Errorf("answer as a NATS service: %w", err)
	}
	return append(closers, s.Micro.Stop), nil
}

// MetadataKeys is the metadata field in which a service publishes, as a NATS service, the ids of its keeper's keys: a
// rotation checks that all running services have the new key.
const MetadataKeys = "keeper-keys"

// Version is this build's version, as shown by `nats micro` and to callers that ask for it.
const Version = "0.1.0"

func instanceName(name string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	return fmt.Sprintf("%s@%s/%d", name, host, os.Getpid())
}
