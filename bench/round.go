package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Names of what is compared, and of what both use.
const (
	product        = "product"
	limit          = "limit"
	partSandbox    = "sandbox"
	partPostgres   = "postgres"
	partNATS       = "nats"
	partOnboarding = "onboarding"
	partBackfill   = "backfill"
)

// round is one run of one of the programs.
type round struct {
	Program        string             `json:"program"`
	Seconds        float64            `json:"seconds"`
	UsersPerSecond float64            `json:"usersPerSecond"`
	CPU            map[string]float64 `json:"cpuMillisecondsPerUser"` // by process
	Peak           map[string]float64 `json:"peakMiB"`                // by process
	Load           float64            `json:"loadBefore"`             // of the machine, in the minute before
	Memory         []sample           `json:"workerMemory,omitempty"`
}

// subject is a program that is up, has been warmed up, and can be measured.
type subject interface {
	// mirror brings the measured organisation to the CRM's tenant, and returns when that is done.
	mirror(ctx context.Context, organisation, customer string) error
	// processes are those whose CPU time and memory count, by name.
	processes() map[string]*process
	close() error
}

// play runs one round in a fresh database: warm-up, the measured run, and a check that the mirror is true.
func (s *stage) play(ctx context.Context, program string, number int) (_ round, err error) {
	name := fmt.Sprintf("%s_%d", program, number)
	url, err := s.postgres.fresh(ctx, name)
	if err != nil {
		return round{}, err
	}
	defer func() { err = errors.Join(err, s.postgres.drop(context.WithoutCancel(ctx), name)) }()
	open := s.openLimit
	if program == product {
		open = s.openProduct
	}
	played, err := open(ctx, name, url)
	if err != nil {
		return round{}, err
	}
	defer func() { err = errors.Join(err, played.close()) }()
	if err := played.mirror(ctx, organisationWarmUp, name+"-warm"); err != nil {
		return round{}, fmt.Errorf("warm up: %w", err)
	}
	if err := s.postgres.settle(ctx); err != nil {
		return round{}, fmt.Errorf("settle Postgres: %w", err)
	}
	measured, err := s.measure(ctx, played, name)
	if err != nil {
		return round{}, err
	}
	measured.Program = program
	if err := s.sandbox.requireMirrored(ctx, organisationMeasured, name, s.opts.users); err != nil {
		return round{}, err
	}
	return measured, s.postgres.requireRows(ctx, name, name, s.opts.users)
}

// measure is the part of a round that counts.
func (s *stage) measure(ctx context.Context, played subject, customer string) (round, error) {
	before, err := load()
	if err != nil {
		return round{}, err
	}
	used, err := s.used(played)
	if err != nil {
		return round{}, err
	}
	series := make(chan []sample, 1)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if worker := played.processes()[partBackfill]; worker != nil {
		go func() { series <- watchMemory(watching, worker.child.PID()) }()
	} else {
		series <- nil
	}
	profiled := s.profile(watching, played, customer)
	began := time.Now()
	if err := played.mirror(ctx, organisationMeasured, customer); err != nil {
		return round{}, err
	}
	took := time.Since(began)
	after, err := s.used(played)
	if err != nil {
		return round{}, err
	}
	if err := <-profiled; err != nil {
		return round{}, err
	}
	stop()
	r := round{
		Seconds: took.Seconds(), UsersPerSecond: float64(s.opts.users) / took.Seconds(), Load: before,
		CPU: map[string]float64{}, Peak: map[string]float64{}, Memory: <-series,
	}
	for part, now := range after {
		r.CPU[part] = (now.cpu - used[part].cpu).Seconds() * 1000 / float64(s.opts.users)
		r.Peak[part] = mebibytes(now.peak)
	}
	return r, nil
}

func (s *stage) used(played subject) (map[string]usage, error) {
	found := map[string]usage{}
	var err error
	if found[partPostgres], err = usageOfAll(s.postgres.PID()); err != nil {
		return nil, err
	}
	if found[partSandbox], err = usageOf(s.sandbox.child.PID()); err != nil {
		return nil, err
	}
	for name, p := range played.processes() {
		if found[name], err = usageOf(p.child.PID()); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func machine() map[string]any {
	return map[string]any{"cpus": runtime.NumCPU(), "system": runtime.GOOS + "/" + runtime.GOARCH, "go": runtime.Version()}
}
