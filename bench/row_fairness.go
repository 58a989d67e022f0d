package main

import (
	"context"
	"errors"
	"fmt"
)

const customerHuge = "huge"

// warmUpPolls are polled before the clock starts.
const warmUpPolls = 20

// fairnessRow measures how late small customers are polled beside the backfill of a huge one, and alone. Their polls are spread evenly,
// as a cadence spreads them. A delay counts from a poll's time to its end.
func fairnessRow(of sizes) row {
	return row{
		name: "fairness", about: fmt.Sprintf("polls of %d small customers within %s, beside the backfill of a customer of %d users, and alone",
			of.beside, of.besideFor, of.huge),
		product: func(ctx context.Context, on *installation) (round, error) {
			if err := on.addPolled(ctx, of.beside); err != nil {
				return round{}, err
			}
			if err := on.sandbox.organise(ctx, customerHuge, of.huge); err != nil {
				return round{}, err
			}
			if err := on.start(ctx, partPoller, partOnboarding, partBackfill); err != nil {
				return round{}, err
			}
			if err := on.pollAtOnce(ctx, min(of.beside, warmUpPolls), min(of.beside, warmUpPolls)); err != nil {
				return round{}, fmt.Errorf("warm up: %w", err)
			}
			alone, err := on.pollDelays(ctx, of)
			if err != nil {
				return round{}, fmt.Errorf("alone: %w", err)
			}
			if err := on.onboard(ctx, customerHuge); err != nil {
				return round{}, err
			}
			const running = `SELECT count(*) FROM runs WHERE customer_id = $1 AND state = 'running' AND processed > 0`
			if _, err := on.await(ctx, running, 1, customerHuge); err != nil {
				return round{}, err
			}
			var beside delays
			r, err := on.measured(ctx, "poll", of.beside, func(ctx context.Context) (err error) {
				beside, err = on.pollDelays(ctx, of)
				return err
			})
			if err != nil {
				return round{}, err
			}
			// A run whose turn is over waits a moment for the next one.
			const underWay = `SELECT count(*) FROM runs WHERE customer_id = $1 AND completed_at IS NULL`
			if still, err := on.number(ctx, underWay, customerHuge); err != nil || still == 0 {
				return round{}, errors.Join(err, errors.New("there are too few users: the huge customer's backfill was not running to the end"))
			}
			delete(r.Figures, "polls/s") // it is how they were spread
			r.Figures["p50 ms alone"], r.Figures["p99 ms alone"] = alone.p50, alone.p99
			r.Figures["p50 ms beside it"], r.Figures["p99 ms beside it"] = beside.p50, beside.p99
			r.Figures["p99 beside it by alone"] = beside.p99 / alone.p99
			return r, on.requireIdlePolls(ctx, min(of.beside, warmUpPolls)+2*of.beside)
		},
	}
}

// delays are percentiles in milliseconds.
type delays struct{ p50, p99 float64 }

// pollDelays makes each customer due once, evenly over a time, and returns how late their polls ended.
func (i *installation) pollDelays(ctx context.Context, of sizes) (found delays, err error) {
	before, err := i.number(ctx, countPolls)
	if err != nil {
		return delays{}, fmt.Errorf("count polls: %w", err)
	}
	err = i.exec(ctx, `DROP TABLE IF EXISTS bench_due`)
	if err == nil {
		err = i.exec(ctx, fmt.Sprintf(`CREATE TABLE bench_due AS
			SELECT customer_id, now() + row_number() OVER (ORDER BY customer_id) * interval '%d microseconds' AS at
			FROM sync_configs WHERE customer_id LIKE 'polled-%%'`, of.besideFor.Microseconds()/int64(of.beside)))
	}
	if err == nil {
		err = i.exec(ctx, `UPDATE sync_configs c SET next_poll_at = d.at FROM bench_due d WHERE d.customer_id = c.customer_id`)
	}
	if err != nil {
		return delays{}, fmt.Errorf("spread polls: %w", err)
	}
	if _, err := i.await(ctx, countPolls, int(before)+of.beside); err != nil {
		return delays{}, err
	}
	const late = `SELECT 1000 * extract(epoch FROM percentile_cont($1::double precision) WITHIN GROUP (ORDER BY j.completed_at - d.at))::double precision
		FROM bench_due d JOIN LATERAL (SELECT completed_at FROM job_log j WHERE j.customer_id = d.customer_id ORDER BY id DESC LIMIT 1) j ON true`
	if found.p50, err = i.number(ctx, late, 0.5); err != nil {
		return delays{}, fmt.Errorf("read delays: %w", err)
	}
	if found.p99, err = i.number(ctx, late, 0.99); err != nil {
		return delays{}, fmt.Errorf("read delays: %w", err)
	}
	return found, nil
}
