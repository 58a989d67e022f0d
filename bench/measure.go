package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// Names of figures. Those of processes end with the process.
const (
	figureLoad          = "load before" // the machine's load in the minute before
	figureCPU           = "CPU ms/"     // and what is counted
	figurePeak          = "peak MiB: "
	figureStatement     = "statements/"
	figureStatementTime = "statement ms/"
)

// measured runs what is measured. count is how many of the unit it works, such as users.
func (i *installation) measured(ctx context.Context, unit string, count int, do func(ctx context.Context) error) (round, error) {
	if err := i.environment.postgres.settle(ctx); err != nil {
		return round{}, fmt.Errorf("settle Postgres: %w", err)
	}
	if err := i.forgetStatements(ctx); err != nil {
		return round{}, err
	}
	before, err := load()
	if err != nil {
		return round{}, err
	}
	used, err := i.used()
	if err != nil {
		return round{}, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	profiled := i.profile(watching)
	began := time.Now()
	if err := do(ctx); err != nil {
		return round{}, err
	}
	r := round{Figures: figures{figureLoad: before}}
	r.took(time.Since(began), unit, count)
	after, err := i.used()
	if err != nil {
		return round{}, err
	}
	if err := <-profiled; err != nil {
		return round{}, err
	}
	for part, now := range after {
		r.Figures[figureCPU+unit+": "+part] = (now.cpu - used[part].cpu).Seconds() * 1000 / float64(count)
		r.Figures[figurePeak+part] = mebibytes(now.peak)
	}
	return r, i.addStatements(ctx, r.Figures, unit, count)
}

// took says how long the round took.
func (r *round) took(long time.Duration, unit string, count int) {
	r.Figures[figureSeconds] = long.Seconds()
	r.Figures[unit+"s/s"] = float64(count) / long.Seconds()
}

// used returns what the processes have used.
func (i *installation) used() (map[string]usage, error) {
	found := map[string]usage{}
	var err error
	if found[partPostgres], err = usageOfAll(i.environment.postgres.PID()); err != nil {
		return nil, err
	}
	for name, p := range i.parts {
		if found[name], err = usageOf(p.child.PID()); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func machine() map[string]any {
	return map[string]any{"cpus": runtime.NumCPU(), "system": runtime.GOOS + "/" + runtime.GOARCH, "go": runtime.Version()}
}
