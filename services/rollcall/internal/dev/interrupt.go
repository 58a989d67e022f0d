package dev

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// interruptible ends the returned context at the first signal; hurry is closed at the second. stop gives the
// signals back.
func interruptible(parent context.Context) (ctx context.Context, hurry <-chan struct{}, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, hurry, release := obey(parent, signals)
	return ctx, hurry, func() {
		signal.Stop(signals)
		release()
	}
}

// obey is interruptible with signals from anywhere.
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
