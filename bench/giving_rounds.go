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
func receiveByProduct(ctx context.Context, on *givingStage) (givingRound, error) {
	if err := on.onboard(ctx); err != nil {
		return givingRound{}, err
	}
	target, err := on.startReceiver(ctx)
	if err != nil {
		return givingRound{}, err
	}
	return on.receive(ctx, target)
}

func receiveByLimit(ctx context.Context, on *givingStage) (givingRound, error) {
	program, err := on.startLimit()
	if err != nil {
		return givingRound{}, err
	}
	target, err := program.do(ctx, map[string]any{"do": "receive", "secret": givingSecret})
	if err != nil {
		return givingRound{}, err
	}
	return on.receive(ctx, target)
}

// receive measures how long the deliveries take until all are answered 200, and checks that each is in the stream.
func (s *givingStage) receive(ctx context.Context, target string) (givingRound, error) {
	if _, err := send(ctx, target, deliveries(0, givingWarmUp, 1)); err != nil {
		return givingRound{}, fmt.Errorf("warm up: %w", err)
	}
	var p99 float64
	bodies := deliveries(givingWarmUp, s.environment.opts.records, 1)
	played, err := s.measured(ctx, s.environment.opts.records, func() (err error) {
		p99, err = send(ctx, target, bodies)
		return err
	})
	if err != nil {
		return givingRound{}, err
	}
	played.P99 = p99
	messages, err := s.messages(ctx, bus.StreamWebhooks, bus.SubjectWebhooks("*"))
	if err == nil && messages != givingWarmUp+s.environment.opts.records {
		err = fmt.Errorf("the stream has %d messages", messages)
	}
	return played, err
}

// applyByProduct has the service donations apply deliveries that the service webhooks has put into the stream.
func applyByProduct(ctx context.Context, on *givingStage) (givingRound, error) {
	if err := on.onboard(ctx); err != nil {
		return givingRound{}, err
	}
	target, err := on.startReceiver(ctx)
	if err != nil {
		return givingRound{}, err
	}
	if _, err := send(ctx, target, on.deliveriesOfTen()); err != nil {
		return givingRound{}, err
	}
	return on.workedOff(ctx, countGifts, on.startDonations, on.eventsAreThere)
}

func applyByLimit(ctx context.Context, on *givingStage) (givingRound, error) {
	if err := on.publishAll(ctx, on.deliveriesOfTen(), bus.SubjectWebhooks); err != nil {
		return givingRound{}, err
	}
	return on.workedOffByLimit(ctx, countGifts, map[string]any{"do": "apply", "messages": on.all() / giftsInDelivery}, on.eventsAreThere)
}

// all is how many records there are in a round, with those of the warm-up.
func (s *givingStage) all() int { return givingWarmUp + s.environment.opts.records }

func (s *givingStage) deliveriesOfTen() []addressed {
	return deliveries(0, s.all()/giftsInDelivery, giftsInDelivery)
}

func (s *givingStage) startDonations(ctx context.Context) error {
	return s.startService(ctx, partDonations, s.environment.opts.programs.donations)
}

// workedOff starts a program that works off a full stream, and measures how long it takes from the warm-up's last row to the last one, and
// until done holds.
func (s *givingStage) workedOff(
	ctx context.Context, query string, begin func(ctx context.Context) error, done func(ctx context.Context) (bool, error),
) (played givingRound, err error) {
	if err := s.environment.postgres.settle(ctx); err != nil {
		return givingRound{}, fmt.Errorf("settle Postgres: %w", err)
	}
	if played.Load, err = load(); err != nil {
		return givingRound{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beginning := make(chan error, 1)
	go func() {
		err := begin(ctx)
		if err != nil {
			cancel(err)
		}
		beginning <- err
	}()
	warm, err := s.await(ctx, query, givingWarmUp)
	if err != nil {
		return givingRound{}, fmt.Errorf("warm up: %w", err)
	}
	began := time.Now()
	if warm == s.all() {
		return givingRound{}, errors.New("there are too few records to measure anything")
	}
	if _, err := s.await(ctx, query, s.all()); err != nil {
		return givingRound{}, err
	}
	if err := s.until(ctx, done); err != nil {
		return givingRound{}, err
	}
	seconds := time.Since(began).Seconds()
	played.PerSecond = float64(s.all()-warm) / seconds
	played.Seconds = float64(s.environment.opts.records) / played.PerSecond
	return played, <-beginning
}

// workedOffByLimit is workedOff for a job of the limit program.
func (s *givingStage) workedOffByLimit(
	ctx context.Context, query string, job map[string]any, done func(ctx context.Context) (bool, error),
) (givingRound, error) {
	program, err := s.startLimit()
	if err != nil {
		return givingRound{}, err
	}
	return s.workedOff(ctx, query, func(ctx context.Context) error {
		_, err := program.do(ctx, job)
		return err
	}, done)
}

// captureByProduct has the service donations capture donations of customers that are paused, so that it sends none.
func captureByProduct(ctx context.Context, on *givingStage) (givingRound, error) {
	if err := on.onboard(ctx); err != nil {
		return givingRound{}, err
	}
	if err := on.exec(ctx, `UPDATE sync_configs SET paused_at = now()`); err != nil {
		return givingRound{}, err
	}
	if err := on.publishAll(ctx, donations(on.all()), bus.SubjectDonation); err != nil {
		return givingRound{}, err
	}
	return on.workedOff(ctx, countDonations, on.startDonations, on.messagesAreErased)
}

func (s *givingStage) messagesAreErased(ctx context.Context) (bool, error) {
	left, err := s.messages(ctx, bus.StreamDonations, bus.SubjectDonation("*"))
	return left == 0, err
}

// eventsAreThere reports whether an event about each gift is in the stream.
func (s *givingStage) eventsAreThere(ctx context.Context) (bool, error) {
	found, err := s.messages(ctx, bus.StreamEvents, bus.SubjectEvent("gift.created", "*"))
	return found >= s.all(), err
}

func captureByLimit(ctx context.Context, on *givingStage) (givingRound, error) {
	if err := on.publishAll(ctx, donations(on.all()), bus.SubjectDonation); err != nil {
		return givingRound{}, err
	}
	return on.workedOffByLimit(ctx, countDonations, map[string]any{"do": "capture", "messages": on.all()}, on.messagesAreErased)
}

// eraseAlone erases messages, and does nothing else with them.
func eraseAlone(ctx context.Context, on *givingStage) (givingRound, error) {
	program, err := on.startLimit()
	if err != nil {
		return givingRound{}, err
	}
	if err := on.publishAll(ctx, donations(on.all()), bus.SubjectDonation); err != nil {
		return givingRound{}, err
	}
	if _, err := program.do(ctx, map[string]any{"do": "erase", "messages": givingWarmUp}); err != nil {
		return givingRound{}, err
	}
	played, err := on.measured(ctx, on.environment.opts.records, func() error {
		_, err := program.do(ctx, map[string]any{"do": "erase", "messages": on.environment.opts.records})
		return err
	})
	if err != nil {
		return givingRound{}, err
	}
	return played, on.until(ctx, on.messagesAreErased)
}
