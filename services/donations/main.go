// Command donations brings donations into Virtuous CRM+. It stores the donation of a message, sealed, and erases the message; then it
// sends the donation's transaction in the customer's lane of giving, at least once and always the same bytes, until Virtuous has
// accepted or rejected it.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/pkg/worker"
)

// longestRequest limits one request to Virtuous, which must end well within the lease.
const longestRequest = 30 * time.Second

func main() {
	os.Exit(service.Main("donations", run))
}

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	stream, err := s.JetStream.Stream(ctx, bus.StreamDonations)
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	consumer, err := s.JetStream.Consumer(ctx, bus.StreamDonations, bus.DurableDonations)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	created := func(ctx context.Context, name string) (time.Time, error) {
		return bus.StreamCreated(ctx, s.JetStream, name)
	}
	toVirtuous := virtuous.NewTransport(slots)
	defer toVirtuous.CloseIdleConnections()
	counts := newMetrics(s.Registry)
	sending := &submitter{
		store: s.Store, vault: s.Vault, metrics: counts, sleep: backoff.Sleep,
		inbound: &inbound.Applier{Store: s.Store, Vault: s.Vault, Logger: s.Logger, TransactionPurpose: purposeTransaction},
		virtuous: &connector.Virtuous{
			Store: s.Store, Vault: s.Vault, Logger: s.Logger, BaseURL: s.Config.VirtuousBaseURL, Transport: toVirtuous,
			Timeout: min(longestRequest, s.Config.ClaimTimeout*2/5), Customers: virtuous.NewCustomers(virtuous.CustomersConfig{}),
			Hourly: budget.Hourly{PerHour: s.Config.VirtuousRequestsPerHour, Share: s.Config.VirtuousShare},
		},
	}
	rounds := round.New(round.Config{
		Store: s.Store, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, Slots: slots, Kind: sending.kind(),
	})
	letters := &messageletter.Opener{Store: s.Store, Vault: s.Vault, Job: jobCapture, StreamCreated: created}
	capturing := &capturer{
		store: s.Store, vault: s.Vault, letters: letters, logger: s.Logger, metrics: counts, source: s.Config.VirtuousTransactionSource,
		wake: func() { rounds.Wake() },
	}
	incoming := intake.New(s.Store, s.Logger, created, func(ctx context.Context, sequence uint64) error { return bus.Erase(ctx, stream, sequence) })
	pull := &worker.Worker{
		Name: bus.DurableDonations, Conn: s.Conn, Consumer: consumer, Slots: slots, Letters: letters, Logger: s.Logger,
		Metrics: worker.NewMetrics(s.Registry),
		Handler: func(ctx context.Context, delivery *worker.Delivery) error {
			return incoming.Handle(ctx, delivery, capturing.capture)
		},
	}
	s.Ready()
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return pull.Run(working) })
	group.Go(func() error { rounds.Run(working); return nil })
	return group.Wait()
}

// slots is how many messages, and how many customers, one process works at once.
const slots = 8
