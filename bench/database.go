package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/store"
)

// postgres is the server with which all rounds work, each in a database of its own.
type postgres struct {
	*localserver.Postgres
}

// durability is what a commit has to wait for; a measurement without it would not be one of this product.
var durability = []string{"fsync", "synchronous_commit", "full_page_writes"} //nolint:gochecknoglobals // a list of words

// settings reads what makes commits durable, and refuses a server on which one of them is off.
func (p *postgres) settings(ctx context.Context) (map[string]string, error) {
	found := map[string]string{}
	err := p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		for _, name := range append([]string{"server_version"}, durability...) {
			var value string
			if err := conn.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			found[name] = value
		}
		return nil
	})
	for _, name := range durability {
		if err == nil && found[name] != "on" {
			err = fmt.Errorf("%s is %s: a commit would not be durable", name, found[name])
		}
	}
	return found, err
}

// fresh makes a database with rollcall's tables and nothing in them.
func (p *postgres) fresh(ctx context.Context, name string) (url string, err error) {
	err = p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+name)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make database: %w", err)
	}
	url = p.URL(name)
	if err := store.Migrate(ctx, url); err != nil {
		return "", err
	}
	opened, err := store.Open(ctx, url, store.Options{MaxConns: 1})
	if err != nil {
		return "", err
	}
	defer opened.Close()
	// A service does the same when it starts: both programs are to write to the same partition.
	return url, opened.EnsureAuditMonths(ctx)
}

// drop removes a round's database.
func (p *postgres) drop(ctx context.Context, name string) error {
	return p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		return err
	})
}

// settle writes out what earlier work left, so that a round does not pay for the one before it.
func (p *postgres) settle(ctx context.Context) error {
	return p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CHECKPOINT")
		return err
	})
}

// requireRows checks that a customer's users all have a mapping and one line of audit.
func (p *postgres) requireRows(ctx context.Context, database, customer string, users int) error {
	return p.with(ctx, database, func(conn *pgx.Conn) error {
		for _, table := range []string{"user_mappings", "sync_audit"} {
			var rows int
			query := "SELECT count(*) FROM " + table + " WHERE customer_id = $1"
			if err := conn.QueryRow(ctx, query, customer).Scan(&rows); err != nil {
				return fmt.Errorf("count %s: %w", table, err)
			}
			if rows != users {
				return fmt.Errorf("%s has %d rows of %d users", table, rows, users)
			}
		}
		return nil
	})
}

func (p *postgres) with(ctx context.Context, database string, do func(conn *pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, p.URL(database))
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	return errors.Join(do(conn), conn.Close(ctx))
}
