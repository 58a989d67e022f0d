package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/localserver"
)

// errTooLate is the cause of a context that ended at the deadline of a demonstration.
var errTooLate = errors.New("too late")

// run starts everything, works, and stops everything. ctx ends at the first Ctrl-C; hurry is closed at the second.
func run(ctx context.Context, hurry <-chan struct{}, opts options, shown *screen, environ []string) error {
	everything, err := newStack(opts, environ, shown, hurry)
	if err != nil {
		return err
	}
	if opts.demoGiving {
		if opts.dir, err = ownFolder(); err != nil {
			return err
		}
	}
	f, err := openFolder(opts.dir, opts.users)
	if err != nil {
		return err
	}
	everything.folder = f
	if opts.usersGiven && opts.users != f.memory.DemoUsers {
		shown.sayf("this folder's organisation %s has %s users already; --users counts in a new folder",
			demoOrg, humanize.Comma(int64(f.memory.DemoUsers)))
	}
	if opts.isDemo() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, opts.deadline, fmt.Errorf("%w after %s", errTooLate, opts.deadline))
		defer cancel()
	}
	shown.sayf("starting NATS, Postgres, the sandbox and the services in %s", f.path)
	began := time.Now()
	if err = everything.start(ctx, opts); err == nil {
		shown.sayf("all of it runs after %.1f s", time.Since(began).Seconds())
		err = everything.work(ctx, opts)
	}
	stopped := interruption(ctx)
	switch {
	case stopped == nil:
	case !opts.isDemo():
		err = nil // Ctrl-C is the usual end
	case err != nil && !errors.Is(err, stopped):
		err = fmt.Errorf("%w: %w", stopped, err) // the cause of the interruption
	}
	shown.sayf("stopping")
	err = errors.Join(err, everything.stop(), f.lock.release())
	if opts.demoGiving && err == nil { // otherwise the logs say why
		err = errors.Join(os.RemoveAll(f.postgres()), os.RemoveAll(filepath.Dir(f.path)))
	}
	return err
}

// ownFolder returns a new folder for a demonstration that moves the clock. Others may pass, as in openFolder.
func ownFolder() (string, error) {
	parent, err := os.MkdirTemp("", "rollcall-demo-")
	if err == nil {
		err = os.Chmod(parent, 0o711) //nolint:gosec // as above
	}
	if err != nil {
		return "", fmt.Errorf("make a folder for the demonstration: %w", err)
	}
	return filepath.Join(parent, "data"), nil
}

// interruption returns why ctx has ended, or nil.
func interruption(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return nil
	case errors.Is(cause, errTooLate):
		return cause
	default: // the parent context may have ended first
		return errInterrupted
	}
}

// work runs the demonstration, or waits for Ctrl-C.
func (s *stack) work(ctx context.Context, opts options) error {
	next := guide{
		program: programName(), natsURL: s.nats.URL(), sandboxURL: s.sandbox.address, webhooks: "http://" + loopback(s.webhookPort), folder: s.folder.path,
		console:   "http://" + loopback(s.consolePort),
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
	if opts.demoGiving {
		d := givingDemo{
			screen: s.screen, conn: s.conn, sandbox: s.sandbox, folder: s.folder.path, printReport: opts.printReport,
			setClock: func(ctx context.Context, ahead time.Duration) error {
				return localserver.SetClock(ctx, s.database.url, ahead)
			},
		}
		return d.run(ctx)
	}
	var err error
	if next.adminToken, err = s.makeAdminToken(ctx); err != nil {
		return err
	}
	s.screen.show(next.box(s.screen.emphasise))
	<-ctx.Done()
	return nil
}

// errInterrupted is the cause of a context that ended at a signal.
var errInterrupted = errors.New("interrupted")

// interruptible returns a context that ends at the first signal. hurry is closed at the second. stop ends the handling of
// signals.
func interruptible(parent context.Context) (ctx context.Context, hurry <-chan struct{}, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, hurry, release := obey(parent, signals)
	return ctx, hurry, func() {
		signal.Stop(signals)
		release()
	}
}

// obey does the work of interruptible, with signals from a channel.
func obey(parent context.Context, signals <-chan os.Signal) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	hurry, over := make(chan struct{}), make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		for _, act := range []func(){func() { cancel(errInterrupted) }, func() { close(hurry) }} {
			select {
			case <-signals:
				act()
			case <-over:
				return
			}
		}
	})
	return ctx, hurry, func() {
		close(over)
		listening.Wait()
		cancel(nil)
	}
}
