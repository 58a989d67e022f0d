package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// longestRound is far more than any round takes: what waits for something that never comes must not wait through the night.
const longestRound = time.Hour

// run reads the command line, measures, and prints the result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	var old report
	if opts.compare != "" { // before the measurement, which would be lost
		if old, err = readReport(opts.compare); err != nil {
			return err
		}
	}
	found, err := opts.report(ctx, stdout, stderr)
	if err != nil || opts.compare == "" {
		return err
	}
	return printChanges(stdout, old, found)
}

// report measures and prints, or reads the report of a measurement that is finished.
func (o options) report(ctx context.Context, stdout, stderr io.Writer) (report, error) {
	if o.finished != "" {
		return readReport(o.finished)
	}
	found, err := o.measure(ctx, stderr)
	if err != nil {
		return report{}, err
	}
	return found, errors.Join(found.table(stdout), found.write(o.out))
}

// measure plays the rounds of all rows.
func (o options) measure(ctx context.Context, progress io.Writer) (_ report, err error) {
	rows, err := chosen(o.rows, o.sizes)
	if err != nil {
		return report{}, err
	}
	if err := o.makeFolders(); err != nil {
		return report{}, err
	}
	e, err := openEnvironment(ctx, o)
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	found := report{Machine: machine(), Postgres: e.settings}
	for _, each := range rows {
		measured, err := e.turns(ctx, each, progress)
		if err != nil {
			return report{}, err
		}
		found.Rows = append(found.Rows, measured)
	}
	return found, nil
}

// turns plays the rounds of a row. Product and limit take turns, so that other load on the machine affects both.
func (e *environment) turns(ctx context.Context, of row, progress io.Writer) (rowReport, error) {
	found := rowReport{Name: of.name, About: of.about, Bound: of.bound}
	for number := 1; number <= e.opts.rounds; number++ {
		for _, program := range []string{product, limit} {
			play := of.product
			if program == limit {
				play = of.limit
			}
			if play == nil || program == limit && e.opts.productOnly {
				continue
			}
			played, err := e.play(ctx, fmt.Sprintf("%s_%s_%d", of.name, program, number), play)
			if err != nil {
				return rowReport{}, fmt.Errorf("%s, round %d of %s: %w", of.name, number, program, err)
			}
			played.Program = program
			found.Rounds = append(found.Rounds, played)
			// An error of the progress output does not stop the measurement.
			_, _ = fmt.Fprintf(progress, "%s, round %d, %s: %.2f s, load before %.2f\n",
				of.name, number, program, played.Figures[figureSeconds], played.Figures[figureLoad])
		}
	}
	found.summarise()
	return found, nil
}

// play runs one round with a new installation.
func (e *environment) play(
	ctx context.Context, name string, do func(ctx context.Context, on *installation) (round, error),
) (played round, err error) {
	on, err := e.install(ctx, name)
	if err != nil {
		return round{}, err
	}
	defer func() { err = errors.Join(err, on.close(context.WithoutCancel(ctx))) }()
	bounded, cancel := context.WithTimeoutCause(ctx, longestRound, fmt.Errorf("it did not end within %s", longestRound))
	defer cancel()
	played, err = do(bounded, on)
	if err != nil && ctx.Err() == nil {
		err = on.withLogs(err)
	}
	return played, err
}
