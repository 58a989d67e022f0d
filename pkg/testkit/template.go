package testkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// templateLock is the advisory lock for creating a template; the number has no meaning.
const templateLock = 7_265_524_601

// template returns the name of a database with all migrations, and creates it if the server has none of that name.
// The name contains a hash of the migration files, so that test processes with the same code share one template and
// others do not use it.
func template(ctx context.Context, server string, files fs.FS, migrate func(context.Context, string) error) (string, error) {
	sum, err := hashOf(files)
	if err != nil {
		return "", fmt.Errorf("hash the migrations: %w", err)
	}
	name := "rollcall_template_" + sum
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // closing also releases the lock
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil {
		return "", fmt.Errorf("take the lock: %w", err)
	}
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&there)
	if err != nil {
		return "", fmt.Errorf("look for %s: %w", name, err)
	}
	if there {
		return name, nil
	}
	return name, build(ctx, conn, server, name, migrate)
}

// build creates the template under another name first, so that an unfinished template of a killed process is never
// used.
func build(ctx context.Context, conn *pgx.Conn, server, name string, migrate func(context.Context, string) error) error {
	half := name + "_half"
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + half + " WITH (FORCE)", "CREATE DATABASE " + half} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make %s: %w", half, err)
		}
	}
	address, err := inDatabase(server, half)
	if err != nil {
		return err
	}
	if err := migrate(ctx, address); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, statement := range []string{
		"ALTER DATABASE " + half + " WITH ALLOW_CONNECTIONS false", // CREATE DATABASE cannot copy a template that has connections
		"ALTER DATABASE " + half + " RENAME TO " + name,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("finish %s: %w", name, err)
		}
	}
	return nil
}

// hashOf returns a short hash of the files' names and contents.
func hashOf(files fs.FS) (string, error) {
	hash := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(hash, "%s %d\n%s", path, len(content), content)
		return err
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)[:6]), nil
}
