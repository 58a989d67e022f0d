package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rollcall.dev/pkg/localserver"
)

const (
	organisationMeasured = "measured"
	organisationWarmUp   = "warm"
	warmUpUsers          = 600
)

// environment is what all rounds share: a folder, a Postgres and the sandbox.
type environment struct {
	opts     options
	dir      string
	postgres *postgres
	settings map[string]string
	sandbox  *sandbox
}

// openEnvironment starts what all rounds share. After an error nothing is left running.
func openEnvironment(ctx context.Context, opts options) (_ *environment, err error) {
	e := &environment{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.dir, err = os.MkdirTemp("", "rollcall-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	server, err := localserver.StartPostgres(ctx, localserver.PostgresConfig{Dir: filepath.Join(e.dir, "postgres"), Durable: true})
	if err != nil {
		return nil, err
	}
	e.postgres = &postgres{Postgres: server}
	if e.settings, err = e.postgres.settings(ctx); err != nil {
		return nil, err
	}
	standIn, address, err := serving(ctx, e.dir, launch{name: "sandbox", path: opts.programs.sandbox})
	if err != nil {
		return nil, err
	}
	e.sandbox = &sandbox{process: standIn, address: address}
	if opts.giving {
		return e, e.sandbox.organiseGiving(ctx)
	}
	if err := e.sandbox.organise(ctx, organisationMeasured, opts.users); err != nil {
		return nil, err
	}
	return e, e.sandbox.organise(ctx, organisationWarmUp, warmUpUsers)
}

// close ends all processes and removes the folder.
func (e *environment) close() error {
	var err error
	if e.sandbox != nil {
		err = e.sandbox.stop()
	}
	if e.postgres != nil {
		e.postgres.Stop()
		err = errors.Join(err, os.RemoveAll(e.postgres.Dir())) // it may be another folder, see localserver
	}
	if e.dir != "" {
		err = errors.Join(err, os.RemoveAll(e.dir))
	}
	return err
}
