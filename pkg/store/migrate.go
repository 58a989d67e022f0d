package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	schema "rollcall.dev/sql"
)

// ErrSchemaOlder says that the database has not had all the migrations that this binary carries.
var ErrSchemaOlder = errors.New("the database schema is older than this program: run `rollcall migrate`")

// Migrate brings the database at databaseURL to the schema this binary carries. It takes a lock that other
// migrators wait for, and may be run at any time, again too.
func Migrate(ctx context.Context, databaseURL string) error {
	conn, err := openForGoose(databaseURL)
	if err != nil {
		return err
	}
	provider, err := migrations(conn, true)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	if _, err := provider.Up(ctx); err != nil {
		return errors.Join(fmt.Errorf("migrate: %w", err), provider.Close())
	}
	if err := provider.Close(); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// openForGoose opens the database the way goose wants it. pgx's own error on a bad URL would repeat parts of it.
func openForGoose(databaseURL string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, errNotPostgresURL
	}
	return stdlib.OpenDB(*config), nil
}

func migrations(conn *sql.DB, locked bool) (*goose.Provider, error) {
	files, err := fs.Sub(schema.Migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read embedded migrations: %w", err)
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if locked {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, fmt.Errorf("make migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, files, options...)
	if err != nil {
		return nil, fmt.Errorf("load migrations: %w", err)
	}
	return provider, nil
}

// CheckSchema is what a service asks at start: ErrSchemaOlder where migrations are missing. A database that
// is newer than the binary is accepted, so that services can be rolled back one release.
func CheckSchema(ctx context.Context, databaseURL string) error {
	conn, err := openForGoose(databaseURL)
	if err != nil {
		return err
	}
	// goose makes its table where there is none, also when it is only asked: services that start together would
	// trip over one another, and a check must not write.
	var migrated bool
	if err := conn.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, goose.DefaultTablename).Scan(&migrated); err != nil {
		return errors.Join(fmt.Errorf("read schema version: %w", err), conn.Close())
	}
	if !migrated {
		return errors.Join(ErrSchemaOlder, conn.Close())
	}
	provider, err := migrations(conn, false)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	pending, err := provider.HasPending(ctx)
	if err := errors.Join(err, provider.Close()); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if pending {
		return ErrSchemaOlder
	}
	return nil
}
