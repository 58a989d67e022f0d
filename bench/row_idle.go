package main

import (
	"context"
	"fmt"
	"time"
)

// idleRow measures how many polls that find nothing the poller makes a second. Time counts from the first one's start to the last
// one's end, without the second at most in which the poller looks whether any customer is due. Each customer was polled once before, as all but
// new ones are: its rows of lease, budget and token are there, and Postgres knows how many there are.
func idleRow(of sizes) row {
	return row{
		name: "idle", about: fmt.Sprintf("polls of %d customers that are due at once, with nothing changed", of.idle),
		product: func(ctx context.Context, on *installation) (round, error) {
			if err := on.addPolled(ctx, of.idle); err != nil {
				return round{}, err
			}
			if err := on.start(ctx, partPoller); err != nil {
				return round{}, err
			}
			if err := on.pollAtOnce(ctx, of.idle, of.idle); err != nil {
				return round{}, fmt.Errorf("warm up: %w", err)
			}
			if err := on.exec(ctx, `VACUUM ANALYZE`); err != nil {
				return round{}, fmt.Errorf("warm up: %w", err)
			}
			polls := 2 * of.idle
			r, err := on.measured(ctx, "poll", of.idle, func(ctx context.Context) error { return on.pollAtOnce(ctx, of.idle, polls) })
			if err != nil {
				return round{}, err
			}
			seconds, err := on.number(ctx, `SELECT extract(epoch FROM max(completed_at) - min(started_at))::double precision
				FROM (SELECT started_at, completed_at FROM job_log ORDER BY id DESC LIMIT $1) last`, of.idle)
			if err != nil {
				return round{}, fmt.Errorf("read how long the polls took: %w", err)
			}
			r.took(time.Duration(seconds*float64(time.Second)), "poll", of.idle)
			return r, on.requireIdlePolls(ctx, polls)
		},
	}
}

// pollAtOnce makes so many customers due, and waits until so many polls have ended in all.
func (i *installation) pollAtOnce(ctx context.Context, customers, polls int) error {
	if err := i.exec(ctx, `UPDATE sync_configs SET next_poll_at = now() WHERE customer_id = ANY($1)`, i.polled[:customers]); err != nil {
		return fmt.Errorf("make customers due: %w", err)
	}
	_, err := i.await(ctx, countPolls, polls)
	return err
}
