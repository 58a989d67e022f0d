// Command writeback writes what a customer's external system wants to have in VOMO. It stores the values of a message, sealed,
// and erases the message; then it writes them to VOMO in the customer's lane, one user after the other. What a person has to
// decide becomes a review item, and what VOMO rejects a dead letter. It also answers operators' requests about reviews.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
)

func main() {
	os.Exit(service.Main("writeback", run))
}

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	stream, err := s.JetStream.Stream(ctx, bus.StreamWriteback)
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	consumer, err := s.JetStream.Consumer(ctx, bus.StreamWriteback, bus.DurableWriteback)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	created := func(ctx context.Context, name string) (time.Time, error) {
		return bus.StreamCreated(ctx, s.JetStream, name)
	}
	connect, disconnect := connector.Open(s, s.Config.WritebackSlots)
	defer disconnect()
	counts := newMetrics(s.Registry)
	rounds := round.New(round.Config{
		Store: s.Store, Connect: connect, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, Slots: s.Config.WritebackSlots,
		Kind: (&writer{store: s.Store, metrics: counts}).kind(), Tracing: s.Tracing,
	})
	wake := func() { rounds.Wake() }
	letters := &messageletter.Opener{Store: s.Store, Vault: s.Vault, Job: jobWriteback, StreamCreated: created}
	accepter := &accepter{
		vault: s.Vault, logger: s.Logger, metrics: counts, wake: wake,
		customers: &intake.Customers{Store: s.Store, Letters: letters, Logger: s.Logger, Count: counts.accepted},
	}
	erase := func(ctx context.Context, sequence uint64) error { return bus.Erase(ctx, stream, sequence) }
	incoming := intake.New(s.Store, s.Logger, bus.Creations(s.JetStream), erase)
	if err := answerOperators(s, &reviewer{store: s.Store, vault: s.Vault, logger: s.Logger, wake: wake}); err != nil {
		return err
	}
	pull := &worker.Worker{
		Name: bus.DurableWriteback, Conn: s.Conn, Consumer: consumer, Slots: worker.FixedSlots(s.Config.WritebackSlots), Letters: letters, Logger: s.Logger,
		Metrics: worker.NewMetrics(s.Registry), Tracing: s.Tracing,
		Handler: func(ctx context.Context, delivery *worker.Delivery) error {
			return incoming.Handle(ctx, delivery, accepter.accept)
		},
	}
	s.Ready()
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return pull.Run(working) })
	group.Go(func() error { rounds.Run(working); return nil })
	return group.Wait()
}
