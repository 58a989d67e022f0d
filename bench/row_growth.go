package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const customerGrown = "grown"

// growthRow measures what the last users of a large customer cost, against the first ones: the time of a page while the mapping is small
// and while it is large, in the same backfill, and the bytes of a user in Postgres.
func growthRow(of sizes) row {
	return row{
		name: "growth", about: fmt.Sprintf("backfill of one customer of %d users: its first and its last %d, and their size in Postgres", of.grown, of.window),
		product: func(ctx context.Context, on *installation) (round, error) {
			if err := on.start(ctx, partOnboarding, partBackfill); err != nil {
				return round{}, err
			}
			if err := on.sandbox.organise(ctx, customerGrown, of.grown); err != nil {
				return round{}, err
			}
			if err := on.warmUp(ctx, on.mirror); err != nil {
				return round{}, err
			}
			var progress []committed
			r, err := on.measured(ctx, "user", of.grown, func(ctx context.Context) (err error) {
				progress, err = on.mirrorWatched(ctx, customerGrown)
				return err
			})
			if err != nil {
				return round{}, err
			}
			first, firstMemory, err := window(progress, 0, of.window)
			if err != nil {
				return round{}, err
			}
			last, lastMemory, err := window(progress, of.grown-of.window, of.grown)
			if err != nil {
				return round{}, err
			}
			r.Figures["ms a page, first users"], r.Figures["ms a page, last users"] = first, last
			r.Figures["growth of the time of a page"] = last / first
			r.Figures["MiB of the worker, first users"], r.Figures["MiB of the worker, last users"] = firstMemory, lastMemory
			if err := on.sizes(ctx, &r, of.grown+warmUpUsers); err != nil {
				return round{}, err
			}
			return r, on.requireMirrored(ctx, customerGrown, of.grown)
		},
	}
}

// committed is how many users a backfill had committed at a moment, and how many MiB its worker had.
type committed struct {
	at     time.Time
	users  int
	memory float64
}

// mirrorWatched mirrors a customer, and returns how it went on.
func (i *installation) mirrorWatched(ctx context.Context, name string) (progress []committed, err error) {
	done := make(chan error, 1)
	working, stop := context.WithCancel(ctx)
	defer stop()
	go func() { done <- i.mirror(working, name) }()
	err = i.environment.postgres.with(ctx, i.name, func(conn *pgx.Conn) error {
		return until(ctx, lookClosely, func(ctx context.Context) (bool, error) {
			select {
			case err := <-done:
				return true, err
			default:
			}
			var users int
			err := conn.QueryRow(ctx, `SELECT coalesce(max(processed), 0) FROM runs WHERE customer_id = $1`, name).Scan(&users)
			if err != nil || len(progress) > 0 && progress[len(progress)-1].users == users {
				return false, err
			}
			at := time.Now()
			resident, err := memory(i.parts[partBackfill].child.PID(), "VmRSS")
			progress = append(progress, committed{at: at, users: users, memory: mebibytes(resident)})
			return false, err
		})
	})
	return progress, err
}

// window returns the milliseconds of a page, and the most memory of the worker, between two numbers of committed users. What is before the
// first commit, such as the check of the token, does not count.
func window(progress []committed, from, to int) (page, memory float64, err error) {
	var inside []committed
	for _, one := range progress {
		if one.users > 0 && one.users >= from && one.users <= to {
			inside = append(inside, one)
			memory = max(memory, one.memory)
		}
	}
	if len(inside) < 2 {
		return 0, 0, errors.New("there are too few users: no two commits were seen in so small a part")
	}
	first, last := inside[0], inside[len(inside)-1]
	pages := float64(last.users-first.users) / usersOnPage
	return last.at.Sub(first.at).Seconds() * 1000 / pages, memory, nil
}

// sizes adds the bytes of a user in Postgres, with indexes, to a round.
func (i *installation) sizes(ctx context.Context, r *round, users int) error {
	for _, table := range []string{"user_mappings", "sync_audit"} {
		bytes, err := i.number(ctx, `SELECT sum(pg_total_relation_size(relid))::double precision FROM pg_partition_tree($1)`, table)
		if err != nil {
			return fmt.Errorf("read the size of %s: %w", table, err)
		}
		r.Figures["bytes/user: "+table] = bytes / float64(users)
	}
	return nil
}
