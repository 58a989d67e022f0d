package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Names of the two compared programs, and of the processes that both use.
const (
	product        = "product"
	limit          = "limit"
	partSandbox    = "sandbox"
	partPostgres   = "postgres"
	partNATS       = "nats"
	partOnboarding = "onboarding"
	partBackfill   = "backfill"
	partWebhooks   = "webhooks"
	partDonations  = "donations"
)

// round is one run of one of the programs.
type round struct {
	Program        string             `json:"program"`
	Seconds        float64            `json:"seconds"`
	UsersPerSecond float64            `json:"usersPerSecond"`
	CPU            map[string]float64 `json:"cpuMillisecondsPerUser"` // by process
	Peak           map[string]float64 `json:"peakMiB"`                // by process
	Load           float64            `json:"loadBefore"`             // the machine's load in the minute before
	Memory         []sample           `json:"workerMemory,omitempty"`
}

// subject is a program that is running and warmed up, and can be measured.
type subject interface {
	// mirror mirrors the measured organisation into the CRM's tenant, and returns when that is done.
	mirror(ctx context.Context, organisation, customer string) error
	// processes returns the processes whose CPU time and memory count, by name.
	processes() map[string]*process
	close() error
}

// play runs one round in a new database: warm-up, measured run, and a check that the mirror is complete.
func (e *environment) play(ctx context.Context, program string, number int) (_ round, err error) {
	name := fmt.Sprintf("%s_%d", program, number)
	url, err := e.postgres.fresh(ctx, name)
	if err != nil {
		return round{}, err
	}
	defer func() { err = errors.Join(err, e.postgres.drop(context.WithoutCancel(ctx), name)) }()
	open := e.openLimit
	if program == product {
		open = e.openProduct
	}
	played, err := open(ctx, name, url)
	if err != nil {
		return round{}, err
	}
	defer func() { err = errors.Join(err, played.close()) }()
	if err := played.mirror(ctx, organisationWarmUp, name+"-warm"); err != nil {
		return round{}, fmt.Errorf("warm up: %w", err)
	}
	if err := e.postgres.settle(ctx); err != nil {
		return round{}, fmt.Errorf("settle Postgres: %w", err)
	}
	measured, err := e.measure(ctx, played, name)
	if err != nil {
		return round{}, err
	}
	measured.Program = program
	if err := e.sandbox.requireMirrored(ctx, organisationMeasured, name, e.opts.users); err != nil {
		return round{}, err
	}
	return measured, e.postgres.requireRows(ctx, name, name, e.opts.users)
}

// measure runs the part of a round that is measured.
func (e *environment) measure(ctx context.Context, played subject, customer string) (round, error) {
	before, err := load()
	if err != nil {
		return round{}, err
	}
	used, err := e.used(played)
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
	profiled := e.profile(watching, played, customer)
	began := time.Now()
	if err := played.mirror(ctx, organisationMeasured, customer); err != nil {
		return round{}, err
	}
	took := time.Since(began)
	after, err := e.used(played)
	if err != nil {
		return round{}, err
	}
	if err := <-profiled; err != nil {
		return round{}, err
	}
	stop()
	r := round{
		Seconds: took.Seconds(), UsersPerSecond: float64(e.opts.users) / took.Seconds(), Load: before,
		CPU: map[string]float64{}, Peak: map[string]float64{}, Memory: <-series,
	}
	for part, now := range after {
		r.CPU[part] = (now.cpu - used[part].cpu).Seconds() * 1000 / float64(e.opts.users)
		r.Peak[part] = mebibytes(now.peak)
	}
	return r, nil
}

func (e *environment) used(played subject) (map[string]usage, error) {
	found := map[string]usage{}
	var err error
	if found[partPostgres], err = usageOfAll(e.postgres.PID()); err != nil {
		return nil, err
	}
	if found[partSandbox], err = usageOf(e.sandbox.child.PID()); err != nil {
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
