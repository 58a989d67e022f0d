package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/micro"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
	"rollcall.dev/services/dlqretry/internal/letterapi"
	"rollcall.dev/services/dlqretry/internal/letterstream"
	"rollcall.dev/services/dlqretry/internal/retry"
)

const (
	// How many messages of operators, and reports of the server, are handled at once.
	requestSlots  = 4
	advisorySlots = 2
	// pingFor bounds how long the publisher asks which services run.
	pingFor = 3 * time.Second
)

// run wires the service and works until ctx ends, or until a part of it cannot go on.
func run(ctx context.Context, s *service.Service) error {
	retries, err := s.JetStream.Consumer(ctx, bus.StreamDLQ, bus.DurableDLQRetry)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	reports, err := s.JetStream.Consumer(ctx, bus.StreamAdvisories, bus.DurableAdvisories)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	connect, disconnect := connector.Open(s, s.Config.DLQSlots)
	defer disconnect()

	// Letters change in the table first. Then the retrier looks for due ones, and the publisher updates the stream.
	var rounds *round.Runner
	var publisher *letterstream.Publisher
	changed := func(due ...string) {
		rounds.Wake(due...)
		publisher.Wake()
	}
	metrics := letterstream.NewMetrics(s.Registry)
	publisher = letterstream.NewPublisher(letterstream.Config{
		Store: s.Store, JetStream: s.JetStream, Logger: s.Logger, Metrics: metrics, Asked: changed,
		Running: func(ctx context.Context) ([]micro.Ping, error) { return service.Running(ctx, s.Conn, pingFor) },
	})
	retrier := &retry.Retrier{Store: s.Store, Metrics: retry.NewMetrics(s.Registry), Changed: publisher.Wake}
	rounds = round.New(round.Config{
		Store: s.Store, Connect: connect, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, Slots: s.Config.DLQSlots,
		Kind: retrier.Kind(), Tracing: s.Tracing,
	})
	messages := &retry.Messages{
		Store: s.Store, Vault: s.Vault, Publisher: &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}, Logger: s.Logger, Changed: publisher.Wake,
	}
	requests := &letterstream.Requests{Store: s.Store, JetStream: s.JetStream, Messages: messages, Asked: changed, Logger: s.Logger}
	advisories := &letterstream.Advisories{
		Store: s.Store, JetStream: s.JetStream, Logger: s.Logger, Changed: publisher.Wake,
		Letters: &messageletter.Opener{Store: s.Store, Vault: s.Vault, StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
			return bus.StreamCreated(ctx, s.JetStream, name)
		}},
	}
	letters := letterapi.New(s, messages, changed)
	if err := letters.Answer(s); err != nil {
		return err
	}
	workers, noLetters := worker.NewMetrics(s.Registry), letterstream.NoLetters{Logger: s.Logger}
	operators := &worker.Worker{
		Name: bus.DurableDLQRetry, Conn: s.Conn, Consumer: retries, Slots: worker.FixedSlots(requestSlots), Letters: noLetters, Handler: requests.Handle,
		Logger: s.Logger, Metrics: workers, Tracing: s.Tracing,
	}
	server := &worker.Worker{
		Name: bus.DurableAdvisories, Conn: s.Conn, Consumer: reports, Slots: worker.FixedSlots(advisorySlots), Letters: noLetters, Handler: advisories.Handle,
		Logger: s.Logger, Metrics: workers, Tracing: s.Tracing,
	}
	gauges := &letterstream.Gauges{Store: s.Store, Logger: s.Logger, Metrics: metrics}
	s.Ready()
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return operators.Run(working) })
	group.Go(func() error { return server.Run(working) })
	for _, part := range []func(context.Context){rounds.Run, letters.RunDrains, publisher.Run, gauges.Run} {
		group.Go(func() error { part(working); return nil })
	}
	return group.Wait()
}
