package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rollcall.dev/pkg/localserver"
)

// environment is what all rounds share: a folder and a Postgres.
type environment struct {
	opts     options
	dir      string
	postgres *postgres
	settings map[string]string
}

// openEnvironment starts what all rounds share. After an error nothing is left running.
func openEnvironment(ctx context.Context, opts options) (_ *environment, err error) {
	e := &environment{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.dir, err = os.MkdirTemp(opts.data, "rollcall-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if err := os.Chmod(e.dir, 0o755); err != nil { //nolint:gosec // G302: if this process is root, Postgres runs as another user
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	config := localserver.PostgresConfig{Dir: filepath.Join(e.dir, "postgres"), Durable: true}
	if opts.statements {
		config.Settings = statementSettings()
	}
	server, err := localserver.StartPostgres(ctx, config)
	if err != nil {
		return nil, err
	}
	e.postgres = &postgres{Postgres: server}
	if e.settings, err = e.postgres.settings(ctx); err != nil {
		return nil, err
	}
	return e, e.postgres.makeTemplate(ctx)
}

// close ends all processes and removes the folder.
func (e *environment) close() error {
	var err error
	if e.postgres != nil {
		e.postgres.Stop()
		err = errors.Join(err, os.RemoveAll(e.postgres.Dir())) // it may be another folder, see localserver
	}
	if e.dir != "" {
		err = errors.Join(err, os.RemoveAll(e.dir))
	}
	return err
}
