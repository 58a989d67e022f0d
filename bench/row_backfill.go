package main

import (
	"context"
	"fmt"
)

// backfillRow measures one customer's backfill from the onboarding message to backfill.completed.
func backfillRow(of sizes) row {
	about := fmt.Sprintf("backfill of one customer of %d users, from the onboarding message to backfill.completed", of.users)
	return mirrorRow("backfill", about, 1, of.users, 0.65)
}

// manyRow measures the backfills of many customers who are onboarded at once, until the last backfill.completed.
func manyRow(of sizes) row {
	about := fmt.Sprintf("backfills of %d customers of %d users at once, from the first onboarding message to the last backfill.completed",
		of.customers, of.usersEach)
	return mirrorRow("many", about, of.customers, of.usersEach, 0.70)
}

func mirrorRow(name, about string, customers, users int, bound float64) row {
	return row{
		name: name, about: about, bound: bound,
		product: func(ctx context.Context, on *installation) (round, error) {
			if err := on.start(ctx, partOnboarding, partBackfill); err != nil {
				return round{}, err
			}
			return on.mirrorAll(ctx, on.mirror, customers, users)
		},
		limit: func(ctx context.Context, on *installation) (round, error) {
			mirror, err := on.mirrorByLimit()
			if err != nil {
				return round{}, err
			}
			return on.mirrorAll(ctx, mirror, customers, users)
		},
	}
}

// mirrorAll mirrors so many organisations at once, and checks all mirrors.
func (i *installation) mirrorAll(ctx context.Context, mirror mirrorFunc, customers, users int) (round, error) {
	names := make([]string, 0, customers)
	for number := range customers {
		name := fmt.Sprintf("customer-%d", number)
		if err := i.sandbox.organise(ctx, name, users); err != nil {
			return round{}, err
		}
		names = append(names, name)
	}
	if err := i.warmUp(ctx, mirror); err != nil {
		return round{}, err
	}
	r, err := i.measured(ctx, "user", customers*users, func(ctx context.Context) error { return mirror(ctx, names...) })
	if err != nil {
		return round{}, err
	}
	for _, name := range names {
		if err := i.requireMirrored(ctx, name, users); err != nil {
			return round{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return r, nil
}
