package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

// run reads the command line, measures, and prints the result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if opts.giving {
		found, err := compareGiving(ctx, opts, stderr)
		if err != nil {
			return err
		}
		return errors.Join(found.table(stdout), write(found, opts.out))
	}
	found, err := compare(ctx, opts, stderr)
	if err != nil {
		return err
	}
	return errors.Join(found.table(stdout), write(found, opts.out))
}

// compare runs the rounds of product and limit alternately, so that other load on the machine affects both.
func compare(ctx context.Context, opts options, progress io.Writer) (_ *report, err error) {
	if err := opts.makeFolders(); err != nil {
		return nil, err
	}
	e, err := openEnvironment(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	found := &report{Users: opts.users, Machine: machine(), Postgres: e.settings}
	programs := []string{product, limit}
	if opts.productOnly {
		programs = programs[:1]
	}
	for number := 1; number <= opts.rounds; number++ {
		for _, program := range programs {
			played, err := e.play(ctx, program, number)
			if err != nil {
				return nil, fmt.Errorf("round %d of %s: %w", number, program, err)
			}
			found.Rounds = append(found.Rounds, played)
			// An error of the progress output does not stop the measurement.
			_, _ = fmt.Fprintf(progress, "round %d, %s: %.2f s, %.0f users a second, load before %.2f\n",
				number, program, played.Seconds, played.UsersPerSecond, played.Load)
		}
	}
	found.summarise()
	return found, nil
}
