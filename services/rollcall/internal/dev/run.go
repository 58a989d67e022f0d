package dev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/budget"
)

// errTooLate is the cause of a context that the deadline of a demonstration ended.
var errTooLate = errors.New("too late")

// run starts everything, does what was asked for, and stops everything. ctx ends at a Ctrl-C, hurry is closed
// at the second.
func run(ctx context.Context, hurry <-chan struct{}, opts options, shown *screen, environ []string) error {
	everything, err := newStack(opts, environ, shown, hurry)
	if err != nil {
		return err
	}
	f, err := openFolder(opts.dir, opts.users)
	if err != nil {
		return err
	}
	everything.folder = f
	if opts.usersGiven && opts.users != f.memory.DemoUsers {
		shown.tellf("this folder's organisation %s has %s users already; --users counts in a new folder",
			demoOrg, thousands(int64(f.memory.DemoUsers)))
	}
	if opts.demo {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, opts.deadline, fmt.Errorf("%w after %s", errTooLate, opts.deadline))
		defer cancel()
	}
	shown.tellf("starting NATS, Postgres, the sandbox and the services in %s", f.path)
	began := time.Now()
	if err = everything.start(ctx, opts); err == nil {
		shown.tellf("all of it runs after %.1f s", time.Since(began).Seconds())
		err = everything.work(ctx, opts)
	}
	stopped := interruption(ctx)
	switch {
	case stopped == nil:
	case !opts.demo:
		err = nil // whoever ended it by Ctrl-C has what they asked for
	case err != nil && !errors.Is(err, stopped):
		err = fmt.Errorf("%w: %w", stopped, err) // why a wait was cut short, not only that it was
	}
	shown.tellf("stopping")
	return errors.Join(err, everything.stop(), f.lock.release())
}

// interruption is why ctx has ended, nil while it has not.
func interruption(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return nil
	case errors.Is(cause, errTooLate):
		return cause
	default: // somebody else's context may have heard the signal first
		return errInterrupted
	}
}

// work is what happens while everything runs: the demonstration, or nothing until a Ctrl-C.
func (s *stack) work(ctx context.Context, opts options) error {
	next := guide{
		program: programName(), natsURL: s.nats.URL(), sandboxURL: s.sandbox.address, folder: s.folder.path,
		usualNATS: s.natsPort == usualNATSPort,
	}
	if opts.dir != usualDir {
		next.dir = opts.dir
	}
	if opts.demo {
		d := demo{
			screen: s.screen, conn: s.conn, sandbox: s.sandbox, folder: s.folder.path, bar: s.screen.terminal && !opts.verbose,
			limits: budget.Limits{PerSecond: s.settings.VomoRequestsPerSecond, PerMinute: s.settings.VomoRequestsPerMinute},
		}
		if err := d.run(ctx); err != nil {
			return err
		}
		s.screen.show(next.afterDemo())
		return nil
	}
	s.screen.show(next.box(s.screen.emphasise))
	<-ctx.Done()
	return nil
}
