package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// claimRow measures how long a message waits on an idle system until a worker has claimed its run: from the publication of a poll request
// to the statement that claims, by the clock of this machine. One message follows the other when its poll has ended.
func claimRow(of sizes) row {
	return row{
		name: "claim", about: fmt.Sprintf("from message to claim on an idle system, %d poll requests one after the other", of.messages),
		product: func(ctx context.Context, on *installation) (round, error) {
			if err := on.addPolled(ctx, of.messages+1); err != nil {
				return round{}, err
			}
			if err := on.exec(ctx, noteClaims); err != nil {
				return round{}, fmt.Errorf("have claims noted: %w", err)
			}
			if err := on.start(ctx, partPoller); err != nil {
				return round{}, err
			}
			if err := on.poll(ctx, on.polled[of.messages], 1); err != nil {
				return round{}, fmt.Errorf("warm up: %w", err)
			}
			published := map[string]time.Time{}
			r, err := on.measured(ctx, "message", of.messages, func(ctx context.Context) error {
				for number := range of.messages {
					published[on.polled[number]] = time.Now()
					if err := on.poll(ctx, on.polled[number], 1); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return round{}, err
			}
			waited, err := on.waitedForClaims(ctx, published)
			if err != nil {
				return round{}, err
			}
			r.Figures["p50 ms"], r.Figures["p99 ms"] = percentile(waited, 50), percentile(waited, 99)
			return r, on.requireIdlePolls(ctx, of.messages+1)
		},
	}
}

// noteClaims has Postgres note when a run is claimed. The columns of runs have the time at which the transaction began.
const noteClaims = `
CREATE TABLE bench_claims (customer_id text PRIMARY KEY, at timestamptz NOT NULL);
CREATE FUNCTION bench_note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bench_claims VALUES (NEW.customer_id, clock_timestamp()) ON CONFLICT DO NOTHING;
	RETURN NULL;
END $$;
CREATE TRIGGER bench_claimed AFTER UPDATE ON runs FOR EACH ROW WHEN (NEW.state = 'running' AND OLD.state <> 'running') EXECUTE FUNCTION bench_note_claim()`

// waitedForClaims returns the milliseconds from each publication to its claim.
func (i *installation) waitedForClaims(ctx context.Context, published map[string]time.Time) (waited []float64, err error) {
	err = i.environment.postgres.with(ctx, i.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT customer_id, at FROM bench_claims`)
		if err != nil {
			return err
		}
		var customer string
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&customer, &at}, func() error {
			if from, measured := published[customer]; measured {
				waited = append(waited, at.Sub(from).Seconds()*1000)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	if len(waited) != len(published) {
		return nil, fmt.Errorf("%d of %d messages were claimed", len(waited), len(published))
	}
	return waited, nil
}

// percentile returns a percentile of values that are not empty.
func percentile(values []float64, percent int) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[min(len(values)*percent/100, len(values)-1)]
}
