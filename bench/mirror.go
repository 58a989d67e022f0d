package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"rollcall.dev/pkg/bus"
)

const (
	organisationWarmUp = "warm"
	warmUpUsers        = 600
	// eventsAtOnce is more than the events of all customers that a round onboards at once.
	eventsAtOnce = 1024
)

// mirrorFunc mirrors organisations into tenants of the CRM that have the same name, all at once, and returns when that is done.
type mirrorFunc func(ctx context.Context, names ...string) error

// mirrorByLimit starts the limit program and returns what has it mirror organisations.
func (i *installation) mirrorByLimit() (mirrorFunc, error) {
	program, err := i.startLimit(limit)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, names ...string) error {
		jobs := make([]map[string]any, 0, len(names))
		for _, name := range names {
			jobs = append(jobs, map[string]any{
				"customer": name, "vomo": i.sandbox.vomo(), "token": i.sandbox.token(name), "destination": i.sandbox.crm(name),
			})
		}
		_, err := program.do(ctx, jobs...)
		return err
	}, nil
}

// onboard publishes onboarding messages, as an operator would.
func (i *installation) onboard(ctx context.Context, names ...string) error {
	for _, name := range names {
		request, err := json.Marshal(map[string]any{
			"customerId": name, "vomoToken": i.sandbox.token(name), "externalSystemUrl": i.sandbox.crm(name),
			"pollCadenceMinutes": 30, "adminEmail": "it@bench.example",
		})
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		if _, err := i.stream.Publish(ctx, bus.SubjectOnboard(name), request); err != nil {
			return fmt.Errorf("publish onboarding message: %w", err)
		}
	}
	return nil
}

// mirror is the product's mirrorFunc: it publishes onboarding messages and waits for the events that the backfills have completed.
func (i *installation) mirror(ctx context.Context, names ...string) error {
	arrived := make(chan *nats.Msg, eventsAtOnce)
	for _, event := range []string{"onboarding.*", "backfill.*"} { // not those of single users
		events, err := i.conn.ChanSubscribe(bus.SubjectEvent(event, "*"), arrived)
		if err != nil {
			return fmt.Errorf("listen for events: %w", err)
		}
		defer func() { _ = events.Unsubscribe() }() //nolint:revive // two of them; closing the connection ends them as well
	}
	if err := i.onboard(ctx, names...); err != nil {
		return err
	}
	for done := 0; done < len(names); {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of the backfills: %w", context.Cause(ctx))
		case event := <-arrived:
			switch name := bus.EventOf(event.Subject); {
			case name == "backfill.completed":
				done++
			case strings.HasSuffix(name, ".rejected"), strings.HasSuffix(name, ".failed"), strings.HasSuffix(name, ".delayed"):
				return fmt.Errorf("%s: %s", event.Subject, event.Data)
			}
		}
	}
	return nil
}

// warmUp mirrors a small organisation.
func (i *installation) warmUp(ctx context.Context, mirror mirrorFunc) error {
	if err := i.sandbox.organise(ctx, organisationWarmUp, warmUpUsers); err != nil {
		return err
	}
	if err := mirror(ctx, organisationWarmUp); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return nil
}

// requireMirrored checks that a customer's mirror is true, and that each user has a mapping and one audit row.
func (i *installation) requireMirrored(ctx context.Context, name string, users int) error {
	if err := i.sandbox.requireMirrored(ctx, name, users); err != nil {
		return err
	}
	return i.environment.postgres.requireRows(ctx, i.name, name, users)
}
