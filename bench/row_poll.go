package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"rollcall.dev/pkg/bus"
)

// changedOf is of how many users one changes: 1 %.
const changedOf = 100

const customerPolled = "customer"

// pollRow measures a poll that finds that 1 % of a customer's users have changed, from the request to the commit of the last page.
func pollRow(of sizes) row {
	changed := of.polled / changedOf
	return row{
		name: "poll", about: fmt.Sprintf("poll of a customer of %d users, %d of them changed, from the request to the last commit", of.polled, changed),
		product: func(ctx context.Context, on *installation) (round, error) {
			if err := on.start(ctx, partOnboarding, partBackfill); err != nil {
				return round{}, err
			}
			if err := on.sandbox.organise(ctx, customerPolled, of.polled); err != nil {
				return round{}, err
			}
			if err := on.mirror(ctx, customerPolled); err != nil {
				return round{}, err
			}
			if err := on.exec(ctx, `UPDATE sync_configs SET next_poll_at = now() + interval '1 year'`); err != nil { // only by request
				return round{}, err
			}
			if err := on.start(ctx, partPoller); err != nil {
				return round{}, err
			}
			if err := on.poll(ctx, customerPolled, 1); err != nil {
				return round{}, fmt.Errorf("warm up: %w", err)
			}
			if err := on.sandbox.change(ctx, customerPolled, changed); err != nil {
				return round{}, err
			}
			before, err := on.sandbox.traffic(ctx)
			if err != nil {
				return round{}, err
			}
			r, err := on.measured(ctx, "user", changed, func(ctx context.Context) error { return on.poll(ctx, customerPolled, 2) })
			if err != nil {
				return round{}, err
			}
			after, err := on.sandbox.traffic(ctx)
			if err != nil {
				return round{}, err
			}
			r.Figures["requests to VOMO"] = float64(after.VOMO[customerPolled].Requests - before.VOMO[customerPolled].Requests)
			if written := after.CRM[customerPolled].Writes - before.CRM[customerPolled].Writes; written != changed {
				return round{}, fmt.Errorf("the poll wrote %d users of %d that changed", written, changed)
			}
			return r, on.sandbox.requireMirrored(ctx, customerPolled, of.polled)
		},
	}
}

// poll requests a poll and waits until so many have ended in all.
func (i *installation) poll(ctx context.Context, customer string, polls int) error {
	request, err := json.Marshal(map[string]string{"customerId": customer})
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	if _, err := i.stream.Publish(ctx, bus.SubjectPoll(customer), request); err != nil {
		return fmt.Errorf("request poll: %w", err)
	}
	_, err = i.awaitEvery(ctx, lookClosely, countPolls+` AND customer_id = $1`, polls, customer)
	return err
}

// change gives so many users of an organisation another telephone number, at one instant for each ten thousand.
func (s *sandbox) change(ctx context.Context, name string, users int) error {
	const atOnce = 10_000
	for from := 0; from < users; from += atOnce {
		edits := make([]map[string]any, 0, atOnce)
		for number := from; number < min(from+atOnce, users); number++ {
			edits = append(edits, map[string]any{"id": userID(number * changedOf), "phone": "+15550000000"})
		}
		address := s.address + "/control/orgs/" + name + "/users:batch"
		if err := ask(ctx, http.MethodPost, address, map[string]any{"edits": edits}, nil); err != nil {
			return fmt.Errorf("change users: %w", err)
		}
	}
	return nil
}
