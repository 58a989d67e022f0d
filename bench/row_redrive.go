package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
)

const customerRedriven = "redriven"

// redriveRow measures a drain that retries all letters of a customer: the destination rejected every second user in the backfill, and
// accepts them now. The speed is compared with that of a backfill of as many users in the same round.
func redriveRow(of sizes) row {
	return row{
		name: "redrive", about: fmt.Sprintf("redrive of %d letters, from the start of the drain until the last is settled, "+
			"and a backfill of as many users", of.letters),
		product: func(ctx context.Context, on *installation) (round, error) {
			if err := on.start(ctx, partOnboarding, partBackfill, partRetrier); err != nil {
				return round{}, err
			}
			if err := on.warmUp(ctx, on.mirror); err != nil {
				return round{}, err
			}
			backfill, err := on.backfillOf(ctx, of.letters)
			if err != nil {
				return round{}, err
			}
			if err := on.openLetters(ctx, of.letters); err != nil {
				return round{}, err
			}
			r, err := on.measured(ctx, "letter", of.letters, on.redrive)
			if err != nil {
				return round{}, err
			}
			r.Figures["seconds of the backfill"] = backfill.Seconds()
			r.Figures["speed by the backfill's"] = backfill.Seconds() / r.Figures[figureSeconds]
			settled, err := on.number(ctx, `SELECT count(*) FROM dead_letters WHERE state = 'settled' AND settled_how = 'retried'`)
			if err == nil && int(settled) != of.letters {
				err = fmt.Errorf("%.0f of %d letters were settled by a retry", settled, of.letters)
			}
			if err != nil {
				return round{}, err
			}
			return r, on.sandbox.requireMirrored(ctx, customerRedriven, 2*of.letters)
		},
	}
}

// backfillOf returns how long a backfill of so many users takes.
func (i *installation) backfillOf(ctx context.Context, users int) (time.Duration, error) {
	const name = "backfilled"
	if err := i.sandbox.organise(ctx, name, users); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := i.mirror(ctx, name); err != nil {
		return 0, err
	}
	return time.Since(began), i.requireMirrored(ctx, name, users)
}

// openLetters mirrors a customer of whose users the destination rejects every second one. It rejects none any more afterwards.
func (i *installation) openLetters(ctx context.Context, letters int) error {
	if err := i.sandbox.organise(ctx, customerRedriven, 2*letters); err != nil {
		return err
	}
	rejected := make([]string, 0, letters)
	for number := range letters {
		rejected = append(rejected, fmt.Sprintf("vomo-%d", userID(2*number)))
	}
	fault := map[string]any{
		"target": "crm", "tenant": customerRedriven, "kind": "status", "status": http.StatusUnprocessableEntity, "code": "phone_refused", "records": rejected,
	}
	if err := ask(ctx, http.MethodPost, i.sandbox.address+"/control/faults", fault, nil); err != nil {
		return fmt.Errorf("have the destination reject users: %w", err)
	}
	if err := i.mirror(ctx, customerRedriven); err != nil {
		return err
	}
	if err := ask(ctx, http.MethodDelete, i.sandbox.address+"/control/faults", nil, nil); err != nil {
		return fmt.Errorf("have the destination accept users: %w", err)
	}
	if _, err := i.await(ctx, `SELECT count(*) FROM dead_letters WHERE state = 'review'`, letters); err != nil {
		return err
	}
	_, err := i.await(ctx, `SELECT (count(*) = 0)::int FROM outbox`, 1)
	return err
}

// noneOpen looks at the newest open letter only, because it is asked many times a second: to go through the letters that are settled
// already would take the processor from what is measured.
const noneOpen = `SELECT (NOT EXISTS (SELECT FROM (
	SELECT id FROM dead_letters WHERE customer_id = '` + customerRedriven + `' AND state <> 'settled' ORDER BY first_failed_at DESC LIMIT 1) l))::int`

// redrive starts a drain, as an operator would, and waits until no letter is open.
func (i *installation) redrive(ctx context.Context) error {
	client := &operatorclient.Client{Conn: i.conn, Timeout: readyWithin}
	_, err := operatorclient.Ask[operatorapi.DrainStart, operatorapi.Drain](ctx, client, "drains", "start", operatorapi.DrainStart{
		LettersFilter: operatorapi.LettersFilter{CustomerID: customerRedriven}, Verb: operatorapi.VerbRetry,
	})
	if err != nil {
		return err
	}
	_, err = i.await(ctx, noneOpen, 1)
	return err
}
