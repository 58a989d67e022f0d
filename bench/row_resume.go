package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	customerResumed = "resumed"
	partSuccessor   = "successor"
	// usersOnPage is how many users a page of VOMO has.
	usersOnPage = 15
)

// resumeRow measures what the death of a backfill worker costs: it is killed in the middle of a backfill, and another one that is idle
// takes over.
func resumeRow(of sizes) row {
	return row{
		name: "resume", about: fmt.Sprintf("the worker of a backfill of %d users is killed, and another one takes over", of.resumed),
		product: func(ctx context.Context, on *installation) (round, error) {
			if err := on.start(ctx, partOnboarding, partBackfill); err != nil {
				return round{}, err
			}
			if err := on.sandbox.organise(ctx, customerResumed, of.resumed); err != nil {
				return round{}, err
			}
			if err := on.warmUp(ctx, on.mirror); err != nil {
				return round{}, err
			}
			delete(on.health, partBackfill) // its profile would not end
			var silent time.Duration
			done := make(chan error, 1)
			r, err := on.measured(ctx, "user", of.resumed, func(ctx context.Context) (err error) {
				working, stop := context.WithCancel(ctx)
				defer stop()
				go func() { done <- on.mirror(working, customerResumed) }()
				if silent, err = on.killWorker(ctx, of.resumed); err != nil {
					return err
				}
				return <-done
			})
			if err != nil {
				return round{}, err
			}
			seen, err := on.sandbox.traffic(ctx)
			if err != nil {
				return round{}, err
			}
			r.Figures["seconds until the successor writes"] = silent.Seconds()
			r.Figures["pages of writes repeated"] = float64(seen.CRM[customerResumed].Writes-of.resumed) / usersOnPage
			return r, on.requireMirrored(ctx, customerResumed, of.resumed)
		},
	}
}

// killWorker kills the worker when a third of the users are mirrored, and returns how long it took until the other one wrote.
func (i *installation) killWorker(ctx context.Context, users int) (silent time.Duration, err error) {
	const processed = `SELECT coalesce(max(processed), 0) FROM runs WHERE customer_id = $1`
	if _, err := i.await(ctx, processed, 1, customerResumed); err != nil {
		return 0, err
	}
	if err := i.startAs(ctx, partSuccessor, partBackfill); err != nil { // only now, so that the first one has the run
		return 0, err
	}
	if _, err := i.await(ctx, processed, users/3, customerResumed); err != nil {
		return 0, err
	}
	worker := i.parts[partBackfill]
	delete(i.parts, partBackfill)
	if err := worker.child.SignalGroup(syscall.SIGKILL); err != nil {
		return 0, fmt.Errorf("kill the worker: %w", err)
	}
	killed := time.Now()
	<-worker.child.Done()
	before, err := i.sandbox.traffic(ctx)
	if err != nil {
		return 0, err
	}
	at := before.CRM[customerResumed].Writes
	if at >= users {
		return 0, errors.New("there are too few users: the backfill had ended when its worker was killed")
	}
	err = until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		seen, err := i.sandbox.traffic(ctx)
		return seen.CRM[customerResumed].Writes > at, err
	})
	return time.Since(killed), err
}
