package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"rollcall.dev/pkg/backoff"
	schema "rollcall.dev/sql"
)

// ErrSchemaOlder says that the database lacks migrations that this program has.
var ErrSchemaOlder = errors.New("the database schema is older than this program: run `rollcall migrate`")

// Bounds of a migration beside running services. Every statement on a table waits behind a step that waits for the table. So a step
// waits for a short time, lets the other statements run, and tries again.
const (
	stepLockTimeout = 1500 * time.Millisecond
	stepPause       = 3 * time.Second
	stepPatience    = time.Hour
	stepSlow        = 10 * time.Second // after this time, and then every minute, Waiting is called
	oldestShown     = 3
	otherMigrator   = 3600 // tries, one each second, to get the lock that another migrator holds
)

// Migration brings a database to the schema of this program. Each step waits for a lock for a second and a half at most, and is
// tried again for an hour, so that services that run meanwhile, and a pg_dump, are not stopped by it.
type Migration struct {
	DatabaseURL string
	Files       fs.FS                      // nil: those of this program
	Pause       time.Duration              // between two tries of a step; 0: 3 s
	Waiting     func(step, holders string) // if it is not nil, it is called for a step that waits, with the sessions that have transactions open
}

// Migrate is Migration.Run without a report of steps that wait.
func Migrate(ctx context.Context, databaseURL string) error {
	return (&Migration{DatabaseURL: databaseURL}).Run(ctx)
}

// Run applies the pending steps one by one, in the order of their numbers, and builds indexes that partitions lack. It takes a lock that other
// migrators wait for. It may run
// at any time, and more than once.
func (m *Migration) Run(ctx context.Context) error {
	if m.Files == nil {
		files, err := migrationFiles()
		if err != nil {
			return err
		}
		m.Files = files
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stepPatience, errors.New("no lock was given for an hour"))
	defer cancel()
	pending, err := m.pending(ctx)
	if err != nil {
		return err
	}
	for _, step := range pending {
		if err := m.apply(ctx, step); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	if err := m.buildPartitionIndexes(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func (m *Migration) pending(ctx context.Context) (steps []*goose.Source, err error) {
	provider, err := openMigrations(m.DatabaseURL, m.Files, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	states, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read schema version: %w", err)
	}
	for _, state := range states {
		if state.State == goose.StatePending {
			steps = append(steps, state.Source)
		}
	}
	return steps, nil
}

// apply applies one step, and tries again while the step does not get its locks.
func (m *Migration) apply(ctx context.Context, step *goose.Source) error {
	done := m.watch(ctx, step)
	defer done()
	return m.untilLocked(ctx, func() error { return m.try(ctx, step) })
}

// untilLocked tries something again while it does not get its locks.
func (m *Migration) untilLocked(ctx context.Context, try func() error) error {
	pause := m.Pause
	if pause == 0 {
		pause = stepPause
	}
	for {
		err := try()
		code := codeOf(err)
		if code != codeLockNotAvailable && code != codeDeadlock {
			return err
		}
		if ended := backoff.Sleep(ctx, pause); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

func (m *Migration) try(ctx context.Context, step *goose.Source) error {
	content, err := fs.ReadFile(m.Files, step.Path)
	if err != nil {
		return fmt.Errorf("read %s: %w", step.Path, err)
	}
	timeout := stepLockTimeout
	// A step outside a transaction builds an index CONCURRENTLY. It waits for old transactions with a lock that blocks no reader
	// and no writer. If it gave up, it would begin at the first row again.
	if bytes.Contains(content, []byte("+goose NO TRANSACTION")) {
		timeout = 0
	}
	provider, err := openMigrations(m.DatabaseURL, m.Files, true, setting{"lock_timeout", strconv.FormatInt(timeout.Milliseconds(), 10)})
	if err != nil {
		return err
	}
	_, err = provider.ApplyVersion(ctx, step.Version, true)
	if errors.Is(err, goose.ErrAlreadyApplied) {
		err = nil // another migrator applied it
	}
	return errors.Join(err, provider.Close())
}

// watch reports what a slow step waits for, until done is called.
func (m *Migration) watch(ctx context.Context, step *goose.Source) (done func()) {
	if m.Waiting == nil {
		return func() {}
	}
	watching, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pause := stepSlow; ; pause = time.Minute {
			if backoff.Sleep(watching, pause) != nil {
				return
			}
			if holders, err := m.oldest(watching); err == nil && holders != "" {
				m.Waiting(step.Path, holders)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// oldest returns the sessions whose transactions have been open for longest: a step may wait for them.
func (m *Migration) oldest(ctx context.Context) (sessions string, err error) {
	conn, err := openForGoose(m.DatabaseURL)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	err = conn.QueryRowContext(ctx, `SELECT coalesce(string_agg(format('pid %s (%s) for %s s', s.pid, s.name, s.seconds), ', '), '') FROM (
		SELECT pid, coalesce(nullif(application_name, ''), usename) AS name, extract(epoch FROM now() - xact_start)::bigint AS seconds
		FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() - interval '1 second'
		ORDER BY xact_start LIMIT $1) s`, oldestShown).Scan(&sessions)
	return sessions, err
}

// openForGoose opens the database as database/sql, which goose needs.
func openForGoose(databaseURL string, settings ...setting) (*sql.DB, error) {
	config, err := parseURL(databaseURL)
	if err != nil {
		return nil, err
	}
	// Open has checked for a pooler before. The role's own timeout is for queries; an index may take longer.
	prepareSessions(config, func() {}, append(settings, setting{"statement_timeout", "0"})...)
	return stdlib.OpenDB(*config), nil
}

func migrationFiles() (fs.FS, error) {
	files, err := fs.Sub(schema.Migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read embedded migrations: %w", err)
	}
	return files, nil
}

func openMigrations(databaseURL string, files fs.FS, locked bool, settings ...setting) (*goose.Provider, error) {
	// A step that the database lacks is pending, also if the database has later steps.
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true)}
	if locked {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, otherMigrator))
		if err != nil {
			return nil, fmt.Errorf("make migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	conn, err := openForGoose(databaseURL, settings...)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, files, options...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load migrations: %w", err), conn.Close())
	}
	return provider, nil
}

// CheckSchema returns ErrSchemaOlder if migrations are missing. Each service calls it at start. It accepts a database that is newer
// than the program, so that services can be rolled back one release.
func CheckSchema(ctx context.Context, databaseURL string) (err error) {
	files, err := migrationFiles()
	if err != nil {
		return err
	}
	provider, err := openMigrations(databaseURL, files, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	// goose makes its table if there is none, also for a check: services that start at the same time would do so at once, and
	// a check must not write.
	migrated, err := hasVersions(ctx, databaseURL)
	if err != nil {
		return err
	}
	if !migrated {
		return ErrSchemaOlder
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if pending {
		return ErrSchemaOlder
	}
	return nil
}

// hasVersions says whether goose's table exists.
func hasVersions(ctx context.Context, databaseURL string) (there bool, err error) {
	conn, err := openForGoose(databaseURL)
	if err != nil {
		return false, err
	}
	err = conn.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, goose.DefaultTablename).Scan(&there)
	if err := errors.Join(err, conn.Close()); err != nil {
		return false, fmt.Errorf("read schema version: %w", err)
	}
	return there, nil
}
