package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

const (
	startWait    = 30 * time.Second
	longestPause = 2 * time.Second
)

type migrated struct {
	Database  string   `json:"database"` // "current"
	Streams   []string `json:"streams"`
	Consumers []string `json:"consumers"`
	Replicas  int      `json:"replicas"`
	Notes     []string `json:"notes"` // what it did, or kept, that people may not expect
}

func (a *app) migrate() *cobra.Command {
	var patience time.Duration
	var lowerReplicas bool
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the tables, streams and consumers to this version",
		Long: `Brings the database, the streams and the consumers to what this version needs. It may be run again at any
time, and beside running services. It reads DATABASE_URL, NATS_REPLICAS, CLAIM_TIMEOUT and the streams' limits, as the
services do. In streams and consumers that exist it changes what the services need, and keeps what you tuned.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(a.Environ)
			if err != nil {
				return err
			}
			if settings.DatabaseURL == "" {
				return errors.New("DATABASE_URL is missing: postgres://user:password@host:port/database")
			}
			return a.migrateAll(command.Context(), settings, patience, lowerReplicas)
		},
	}
	command.Flags().BoolVar(&lowerReplicas, "lower-replicas", false, "let streams lose replicas if they have more than NATS_REPLICAS")
	command.Flags().DurationVar(&patience, "wait", startWait, "how long Postgres and NATS are waited for while they start")
	return command
}

func (a *app) migrateAll(ctx context.Context, settings config.Config, patience time.Duration, lowerReplicas bool) error {
	done := migrated{Database: "current", Replicas: settings.NATSReplicas, Notes: []string{}}
	err := a.waitFor(ctx, "Postgres", patience, func() error {
		opened, err := store.Open(ctx, settings.DatabaseURL, store.Options{MaxConns: 1})
		if err != nil {
			return err
		}
		opened.Close()
		return nil
	})
	if err != nil {
		return err
	}
	migration := &store.Migration{DatabaseURL: settings.DatabaseURL, Waiting: func(step, holders string) {
		sayf(a.log, "%s waits for other sessions and is tried again; the oldest open transactions: %s", step, holders)
	}}
	if err := migration.Run(ctx); err != nil {
		return err
	}
	if err := a.noteMigrated(ctx, settings); err != nil {
		return err
	}
	a.progressLinef("database: the schema is current")

	err = a.waitFor(ctx, "NATS", patience, func() error {
		notes, err := a.ensureStreams(ctx, settings, lowerReplicas)
		done.Notes = append(done.Notes, notes...)
		return err
	})
	if err != nil {
		return err
	}
	for _, note := range done.Notes {
		a.progressLinef("%s", note)
	}
	for _, stream := range bus.StreamConfigs(settings.NATSReplicas) {
		done.Streams = append(done.Streams, stream.Name)
	}
	for _, consumer := range bus.ConsumerConfigs(settings.ClaimTimeout) {
		done.Consumers = append(done.Consumers, consumer.Config.Durable)
	}
	a.progressLinef("streams: %s and %s are current, %s each",
		counted(len(done.Streams), "stream"), counted(len(done.Consumers), "consumer"), counted(done.Replicas, "replica"))
	if a.json {
		return a.document(done)
	}
	return nil
}

// noteMigrated makes the audit's months, and audits the migration: a new database had no table for it before.
func (a *app) noteMigrated(ctx context.Context, settings config.Config) error {
	opened, err := store.Open(ctx, settings.DatabaseURL, store.Options{MaxConns: 1})
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := opened.EnsureAuditMonths(ctx); err != nil { // before a service writes the first line
		return err
	}
	_, err = opened.NoteAct(ctx, store.Act{Operator: a.operator(), Via: store.ViaCommand, Verb: "migrate", Outcome: store.ActDone})
	return err
}

func (a *app) ensureStreams(ctx context.Context, settings config.Config, lowerReplicas bool) (notes []string, err error) {
	on, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer on.close()
	js, err := jetstream.New(on.Conn)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	notes, err = service.Layout(settings, lowerReplicas).Ensure(ctx, js)
	if err != nil {
		return nil, err
	}
	// Differences that remain cannot be changed in an existing stream.
	return notes, errors.Join(bus.Differences(ctx, js, settings.ClaimTimeout)...)
}

// waitFor retries while a server may still be starting: containers start `rollcall migrate` at the same time.
func (a *app) waitFor(ctx context.Context, what string, patience time.Duration, reach func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = longestPause
	said := false
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := reach()
		if err != nil && !isTransient(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(patience), backoff.WithNotify(func(err error, _ time.Duration) {
		if !said {
			sayf(a.log, "waiting for %s: %v", what, err)
			said = true
		}
	}))
	if err != nil {
		return fmt.Errorf("%s is not ready: %w", what, err)
	}
	return nil
}

// isTransient reports whether waiting can help. It does not help if the server cannot create a stream as configured, or if
// options are invalid.
func isTransient(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.Code == http.StatusServiceUnavailable // JetStream has no leader yet
	}
	if errors.Is(err, bus.ErrTopology) {
		return false // Ensure has repaired what it can
	}
	var called usageError
	return !errors.As(err, &called) && !errors.Is(err, store.ErrTransactionPooler)
}

// progressLinef prints what was done: on standard output, or on standard error if --json prints a document.
func (a *app) progressLinef(format string, args ...any) {
	to, _ := a.progress()
	sayf(to, format, args...)
}

// progress returns the stream for progress, and whether it is a terminal.
func (a *app) progress() (to *output, terminal bool) {
	if a.json {
		return a.log, a.StderrTerminal
	}
	return a.out, a.StdoutTerminal
}
