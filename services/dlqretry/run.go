package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
)

// How many messages of operators, and of the server, are worked at once.
const (
	republishedSlots = 4
	advisorySlots    = 2
)

// run wires the service and works until ctx ends, or until a part of it cannot go on.
func run(ctx context.Context, s *service.Service) error {
	retrying, err := s.JetStream.Consumer(ctx, bus.StreamDLQ, bus.DurableDLQRetry)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	told, err := s.JetStream.Consumer(ctx, bus.StreamAdvisories, bus.DurableAdvisories)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	connect, disconnect := connector.Open(s, s.Config.DLQSlots)
	defer disconnect()
	publisher := &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}
	counted := newMetrics(s.Registry)
	follow := &follower{
		store: s.Store, js: s.JetStream, publisher: publisher, logger: s.Logger, metrics: counted, woken: make(chan struct{}, 1),
	}
	retry := &retrier{
		store: s.Store, connect: connect, logger: s.Logger, metrics: counted, holder: s.Instance, leaseFor: s.Config.ClaimTimeout,
		slots: s.Config.DLQSlots, queue: newQueue(s.Config.DLQSlots, time.Now), woken: make(chan struct{}, 1), changed: follow.wake,
	}
	redrive := &redriver{
		store: s.Store, vault: s.Vault, publisher: publisher, logger: s.Logger,
		asked: func(customers ...string) {
			retry.wake(customers...)
			follow.wake()
		},
	}
	if err := answerLetters(s, newLetterDesk(s, redrive)); err != nil {
		return err
	}
	messages := worker.NewMetrics(s.Registry)
	operators := &worker.Worker{
		Name: bus.DurableDLQRetry, Conn: s.Conn, Consumer: retrying, Slots: republishedSlots, Letters: noLetters{s.Logger},
		Handler: (&republished{store: s.Store, js: s.JetStream, redriver: redrive, logger: s.Logger}).handle,
		Logger:  s.Logger, Metrics: messages,
	}
	letters := &deadletter.Opener{
		Store: s.Store, Vault: s.Vault, StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
			return bus.StreamCreated(ctx, s.JetStream, name)
		},
	}
	server := &worker.Worker{
		Name: bus.DurableAdvisories, Conn: s.Conn, Consumer: told, Slots: advisorySlots, Letters: noLetters{s.Logger},
		Handler: (&advisories{store: s.Store, js: s.JetStream, letters: letters, logger: s.Logger, changed: follow.wake}).handle,
		Logger:  s.Logger, Metrics: messages,
	}
	s.Ready()
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return operators.Run(working) })
	group.Go(func() error { return server.Run(working) })
	group.Go(func() error { retry.run(working); return nil })
	group.Go(func() error { follow.run(working); return nil })
	group.Go(func() error { (&gauges{store: s.Store, logger: s.Logger, metrics: counted}).run(working); return nil })
	return group.Wait()
}
