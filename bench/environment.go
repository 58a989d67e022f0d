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

// stage is what all rounds share: a folder, a Postgres and the sandbox.
type stage struct {
	opts     options
	dir      string
	postgres *postgres
	settings map[string]string
	sandbox  *sandbox
}

// openStage starts what all rounds share. After an error nothing is left.
func openStage(ctx context.Context, opts options) (_ *stage, err error) {
	s := &stage{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "rollcall-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	server, err := localserver.StartPostgres(ctx, localserver.PostgresConfig{Dir: filepath.Join(s.dir, "postgres"), Durable: true})
	if err != nil {
		return nil, err
	}
	s.postgres = &postgres{Postgres: server}
	if s.settings, err = s.postgres.settings(ctx); err != nil {
		return nil, err
	}
	standIn, address, err := serving(ctx, s.dir, launch{name: "sandbox", path: opts.programs.sandbox})
	if err != nil {
		return nil, err
	}
	s.sandbox = &sandbox{process: standIn, address: address}
	if err := s.sandbox.organise(ctx, organisationMeasured, opts.users); err != nil {
		return nil, err
	}
	return s, s.sandbox.organise(ctx, organisationWarmUp, warmUpUsers)
}

// close ends everything and removes the folder.
func (s *stage) close() error {
	var err error
	if s.sandbox != nil {
		err = s.sandbox.stop()
	}
	if s.postgres != nil {
		s.postgres.Stop()
		err = errors.Join(err, os.RemoveAll(s.postgres.Dir())) // it may lie elsewhere, see localserver
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}
