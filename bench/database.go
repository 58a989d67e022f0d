package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/store"
)

// postgres is the server that all rounds use, each with its own database.
type postgres struct {
	*localserver.Postgres
}

// durability lists the settings that make a commit durable; a measurement without them would not measure this
// product.
var durability = []string{"fsync", "synchronous_commit", "full_page_writes"} //nolint:gochecknoglobals // a list of words

// settings reads the settings that make commits durable, and fails if one of them is off.
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

// template is the database with rollcall's empty tables of which each round has a copy.
const template = "rollcall_template"

// makeTemplate creates the template.
func (p *postgres) makeTemplate(ctx context.Context) error {
	if err := p.create(ctx, template, ""); err != nil {
		return err
	}
	if err := store.Migrate(ctx, p.URL(template)); err != nil {
		return err
	}
	opened, err := store.Open(ctx, p.URL(template), store.Options{MaxConns: 1})
	if err != nil {
		return err
	}
	defer opened.Close()
	// A service does the same at its start, so that both programs write to the same partition.
	return opened.EnsureAuditMonths(ctx)
}

// fresh creates a round's database, with rollcall's empty tables.
func (p *postgres) fresh(ctx context.Context, name string) (url string, err error) {
	return p.URL(name), p.create(ctx, name, " TEMPLATE "+template)
}

func (p *postgres) create(ctx context.Context, name, from string) error {
	err := p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+name+from)
		return err
	})
	if err != nil {
		return fmt.Errorf("make database: %w", err)
	}
	return nil
}

// drop removes a round's database.
func (p *postgres) drop(ctx context.Context, name string) error {
	return p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		return err
	})
}

// settle writes earlier work to disk, so that a round does not pay for the one before.
func (p *postgres) settle(ctx context.Context) error {
	return p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CHECKPOINT")
		return err
	})
}

// requireRows checks that each user of a customer has a mapping and one audit row.
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
