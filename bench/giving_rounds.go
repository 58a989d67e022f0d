package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/bus"
)

const (
	givingSenders = 16
	givingWarmUp  = 200
	// giftsInDelivery is how many gifts a delivery has whose application is measured.
	giftsInDelivery = 10

	countGifts     = `SELECT count(*) FROM partner_gifts`
	countDonations = `SELECT count(*) FROM virtuous_donation_queue`
)

// receiveByProduct sends deliveries of one gift to the service webhooks. Nothing takes them out of the stream.
func receiveByProduct(ctx context.Context, on *installation) (round, error) {
	if err := on.onboardGiving(ctx); err != nil {
		return round{}, err
	}
	target, err := on.startReceiver(ctx)
	if err != nil {
		return round{}, err
	}
	return on.receive(ctx, target)
}

func receiveByLimit(ctx context.Context, on *installation) (round, error) {
	program, err := on.startLimit(programGivingLimit)
	if err != nil {
		return round{}, err
	}
	target, err := program.do(ctx, map[string]any{"do": "receive", "secret": givingSecret})
	if err != nil {
		return round{}, err
	}
	return on.receive(ctx, target)
}

// receive measures how long the deliveries take until all are answered 200, and checks that each is in the stream.
func (i *installation) receive(ctx context.Context, target string) (round, error) {
	if _, err := send(ctx, target, deliveries(0, givingWarmUp, 1)); err != nil {
		return round{}, fmt.Errorf("warm up: %w", err)
	}
	var p99 float64
	bodies := deliveries(givingWarmUp, i.environment.opts.records, 1)
	played, err := i.measured(ctx, "record", i.environment.opts.records, func(ctx context.Context) (err error) {
		p99, err = send(ctx, target, bodies)
		return err
	})
	if err != nil {
		return round{}, err
	}
	played.Figures["p99 ms of an answer"] = p99
	messages, err := i.messages(ctx, bus.StreamWebhooks, bus.SubjectWebhooks("*"))
	if err == nil && messages != givingWarmUp+i.environment.opts.records {
		err = fmt.Errorf("the stream has %d messages", messages)
	}
	return played, err
}

// applyByProduct has the service donations apply deliveries that the service webhooks has put into the stream.
func applyByProduct(ctx context.Context, on *installation) (round, error) {
	if err := on.onboardGiving(ctx); err != nil {
		return round{}, err
	}
	target, err := on.startReceiver(ctx)
	if err != nil {
		return round{}, err
	}
	if _, err := send(ctx, target, on.deliveriesOfTen()); err != nil {
		return round{}, err
	}
	return on.workedOff(ctx, countGifts, on.startDonations, on.eventsAreThere)
}

func applyByLimit(ctx context.Context, on *installation) (round, error) {
	if err := on.publishAll(ctx, on.deliveriesOfTen(), bus.SubjectWebhooks); err != nil {
		return round{}, err
	}
	return on.workedOffByLimit(ctx, countGifts, map[string]any{"do": "apply", "messages": on.all() / giftsInDelivery}, on.eventsAreThere)
}

// all is how many records there are in a round, with those of the warm-up.
func (i *installation) all() int { return givingWarmUp + i.environment.opts.records }

func (i *installation) deliveriesOfTen() []addressed {
	return deliveries(0, i.all()/giftsInDelivery, giftsInDelivery)
}

func (i *installation) startDonations(ctx context.Context) error {
	return i.start(ctx, partDonations)
}

// workedOff starts a program that works off a full stream, and measures how long it takes from the warm-up's last row to the last one, and
// until done holds.
func (i *installation) workedOff(
	ctx context.Context, query string, begin func(ctx context.Context) error, done func(ctx context.Context) (bool, error),
) (played round, err error) {
	if err := i.environment.postgres.settle(ctx); err != nil {
		return round{}, fmt.Errorf("settle Postgres: %w", err)
	}
	before, err := load()
	if err != nil {
		return round{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := i.forgetStatements(ctx); err != nil {
		return round{}, err
	}
	beginning := make(chan error, 1)
	go func() {
		err := begin(ctx)
		if err != nil {
			cancel(err)
		}
		beginning <- err
	}()
	warm, err := i.await(ctx, query, givingWarmUp)
	if err != nil {
		return round{}, fmt.Errorf("warm up: %w", err)
	}
	began := time.Now()
	if warm == i.all() {
		return round{}, errors.New("there are too few records to measure anything")
	}
	if _, err := i.await(ctx, query, i.all()); err != nil {
		return round{}, err
	}
	if err := until(ctx, lookEvery, done); err != nil {
		return round{}, err
	}
	perRecord := time.Since(began) / time.Duration(i.all()-warm)
	if err := <-beginning; err != nil {
		return round{}, err
	}
	used, err := i.used()
	if err != nil {
		return round{}, err
	}
	played = round{Figures: figures{figureLoad: before}}
	played.took(perRecord*time.Duration(i.environment.opts.records), "record", i.environment.opts.records)
	for part, its := range used {
		played.Figures[figurePeak+part] = mebibytes(its.peak)
	}
	return played, i.addStatements(ctx, played.Figures, "record", i.all())
}

// workedOffByLimit is workedOff for a job of the limit program.
func (i *installation) workedOffByLimit(
	ctx context.Context, query string, job map[string]any, done func(ctx context.Context) (bool, error),
) (round, error) {
	program, err := i.startLimit(programGivingLimit)
	if err != nil {
		return round{}, err
	}
	return i.workedOff(ctx, query, func(ctx context.Context) error {
		_, err := program.do(ctx, job)
		return err
	}, done)
}

// captureByProduct has the service donations capture donations of customers that are paused, so that it sends none.
func captureByProduct(ctx context.Context, on *installation) (round, error) {
	if err := on.onboardGiving(ctx); err != nil {
		return round{}, err
	}
	if err := on.exec(ctx, `UPDATE sync_configs SET paused_at = now()`); err != nil {
		return round{}, err
	}
	if err := on.publishAll(ctx, donations(on.all()), bus.SubjectDonation); err != nil {
		return round{}, err
	}
	return on.workedOff(ctx, countDonations, on.startDonations, on.messagesAreErased)
}

func (i *installation) messagesAreErased(ctx context.Context) (bool, error) {
	left, err := i.messages(ctx, bus.StreamDonations, bus.SubjectDonation("*"))
	return left == 0, err
}

// eventsAreThere reports whether an event about each gift is in the stream.
func (i *installation) eventsAreThere(ctx context.Context) (bool, error) {
	found, err := i.messages(ctx, bus.StreamEvents, bus.SubjectEvent("gift.created", "*"))
	return found >= i.all(), err
}

func captureByLimit(ctx context.Context, on *installation) (round, error) {
	if err := on.publishAll(ctx, donations(on.all()), bus.SubjectDonation); err != nil {
		return round{}, err
	}
	return on.workedOffByLimit(ctx, countDonations, map[string]any{"do": "capture", "messages": on.all()}, on.messagesAreErased)
}

// eraseAlone erases messages, and does nothing else with them.
func eraseAlone(ctx context.Context, on *installation) (round, error) {
	program, err := on.startLimit(programGivingLimit)
	if err != nil {
		return round{}, err
	}
	if err := on.publishAll(ctx, donations(on.all()), bus.SubjectDonation); err != nil {
		return round{}, err
	}
	if _, err := program.do(ctx, map[string]any{"do": "erase", "messages": givingWarmUp}); err != nil {
		return round{}, err
	}
	played, err := on.measured(ctx, "message", on.environment.opts.records, func(ctx context.Context) error {
		_, err := program.do(ctx, map[string]any{"do": "erase", "messages": on.environment.opts.records})
		return err
	})
	if err != nil {
		return round{}, err
	}
	return played, until(ctx, lookEvery, on.messagesAreErased)
}
