package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// givingMeasure is one of the three things that are measured of giving, in turns with a limit program.
type givingMeasure struct {
	name    string
	records string  // what is counted
	bound   float64 // the least ratio that is good enough
	product func(ctx context.Context, on *givingStage) (givingRound, error)
	limit   func(ctx context.Context, on *givingStage) (givingRound, error)
}

// Names of the measurements.
const (
	nameDeliveries = "deliveries"
	nameInbound    = "inbound"
	nameCapture    = "capture"
)

func givingMeasures() []givingMeasure {
	return []givingMeasure{
		{name: nameDeliveries, records: "deliveries", bound: 0.7, product: receiveByProduct, limit: receiveByLimit},
		{name: nameInbound, records: "gifts", bound: 0.5, product: applyByProduct, limit: applyByLimit},
		{name: nameCapture, records: "donations", bound: 0.5, product: captureByProduct, limit: captureByLimit},
	}
}

// givingRound is one run of one of the programs.
type givingRound struct {
	Program   string  `json:"program"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"recordsPerSecond"`
	P99       float64 `json:"p99Milliseconds,omitempty"` // of an answer, where there is one
	Load      float64 `json:"loadBefore"`
}

// givingResult is what was measured of one thing.
type givingResult struct {
	Name    string        `json:"name"`
	Records string        `json:"records"`
	Bound   float64       `json:"bound"`
	Ratio   float64       `json:"ratio"` // the limit's median time by the product's
	Product givingRound   `json:"product"`
	Limit   givingRound   `json:"limit"`
	Rounds  []givingRound `json:"rounds"`
}

// givingReport is the result of a measurement of giving.
type givingReport struct {
	Records  int               `json:"records"`
	Machine  map[string]any    `json:"machine"`
	Postgres map[string]string `json:"postgres"`
	Erased   float64           `json:"erasedPerSecond"` // messages, and nothing else
	Results  []givingResult    `json:"results"`
}

// compareGiving runs the rounds of product and limit alternately, so that other load on the machine affects both.
func compareGiving(ctx context.Context, opts options, progress io.Writer) (_ *givingReport, err error) {
	if err := opts.makeFolders(); err != nil {
		return nil, err
	}
	e, err := openEnvironment(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	found := &givingReport{Records: opts.records, Machine: machine(), Postgres: e.settings}
	erased, err := e.playGiving(ctx, "erase", eraseAlone)
	if err != nil {
		return nil, fmt.Errorf("erase alone: %w", err)
	}
	found.Erased = erased.PerSecond
	for at, measure := range givingMeasures() {
		if opts.only != "" && opts.only != measure.name {
			continue
		}
		result := givingResult{Name: measure.name, Records: measure.records, Bound: measure.bound}
		for number := 1; number <= opts.rounds; number++ {
			for _, program := range []string{product, limit} {
				run := measure.product
				if program == limit {
					run = measure.limit
				}
				played, err := e.playGiving(ctx, fmt.Sprintf("%s_%d_%d", program, at+1, number), run)
				if err != nil {
					return nil, fmt.Errorf("%s, round %d of %s: %w", measure.name, number, program, err)
				}
				played.Program = program
				result.Rounds = append(result.Rounds, played)
				// An error of the progress output does not stop the measurement.
				_, _ = fmt.Fprintf(progress, "%s, round %d, %s: %.2f s, %.0f %s a second, load before %.2f\n",
					measure.name, number, program, played.Seconds, played.PerSecond, measure.records, played.Load)
			}
		}
		result.summarise()
		found.Results = append(found.Results, result)
	}
	return found, nil
}

// playGiving runs one round with a new database and a new NATS server.
func (e *environment) playGiving(
	ctx context.Context, name string, run func(ctx context.Context, on *givingStage) (givingRound, error),
) (played givingRound, err error) {
	stage, err := e.openGivingStage(ctx, name)
	if err != nil {
		return givingRound{}, err
	}
	defer func() { err = errors.Join(err, stage.close(context.WithoutCancel(ctx))) }()
	return run(ctx, stage)
}

// measured runs what is measured, and returns how long it took.
func (s *givingStage) measured(ctx context.Context, records int, do func() error) (givingRound, error) {
	if err := s.environment.postgres.settle(ctx); err != nil {
		return givingRound{}, fmt.Errorf("settle Postgres: %w", err)
	}
	before, err := load()
	if err != nil {
		return givingRound{}, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return givingRound{}, err
	}
	seconds := time.Since(began).Seconds()
	return givingRound{Seconds: seconds, PerSecond: float64(records) / seconds, Load: before}, nil
}

func (r *givingResult) summarise() {
	medianOf := func(program string) givingRound {
		var played []givingRound
		for _, one := range r.Rounds {
			if one.Program == program {
				played = append(played, one)
			}
		}
		middle := func(of func(givingRound) float64) float64 {
			values := make([]float64, 0, len(played))
			for _, one := range played {
				values = append(values, of(one))
			}
			slices.Sort(values)
			return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
		}
		return givingRound{
			Program: program, Seconds: middle(func(r givingRound) float64 { return r.Seconds }),
			PerSecond: middle(func(r givingRound) float64 { return r.PerSecond }), P99: middle(func(r givingRound) float64 { return r.P99 }),
			Load: middle(func(r givingRound) float64 { return r.Load }),
		}
	}
	r.Product, r.Limit = medianOf(product), medianOf(limit)
	r.Ratio = r.Limit.Seconds / r.Product.Seconds
}

// table prints a report for people.
func (r *givingReport) table(out io.Writer) error {
	lines := []string{fmt.Sprintf("erasing a message, and nothing else: %.0f a second", r.Erased)}
	for _, one := range r.Results {
		line := fmt.Sprintf("%s: product %.0f, limit %.0f %s a second: ratio %.2f (at least %.1f)",
			one.Name, one.Product.PerSecond, one.Limit.PerSecond, one.Records, one.Ratio, one.Bound)
		if one.Product.P99 > 0 {
			line += fmt.Sprintf("; p99 %.1f ms, of the limit %.1f ms", one.Product.P99, one.Limit.P99)
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}
