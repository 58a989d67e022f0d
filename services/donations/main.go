// Command donations brings donations and contacts into Virtuous CRM+. It stores the donation or contact of a message, sealed, and erases the message;
// then it sends its transaction in the customer's lane of giving, at least once and always the same bytes, until Virtuous has
// accepted or rejected it. It also stores what the service webhooks received, and applies it: a gift confirms its donation.
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
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
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
	toVirtuous := virtuous.NewTransport(slots)
	defer toVirtuous.CloseIdleConnections()
	opener := &connector.Virtuous{
		Store: s.Store, Vault: s.Vault, Logger: s.Logger, BaseURL: s.Config.VirtuousBaseURL, Transport: toVirtuous,
		Timeout: min(longestRequest, s.Config.ClaimTimeout*2/5), Customers: virtuous.NewCustomers(virtuous.CustomersConfig{}),
		Hourly: budget.Hourly{PerHour: s.Config.VirtuousRequestsPerHour, Share: s.Config.VirtuousShare},
	}
	applier := &inbound.Applier{Store: s.Store, Vault: s.Vault, Logger: s.Logger, TransactionPurpose: purposeTransaction}
	counts := newMetrics(s.Registry)
	checking := &projects{store: s.Store, logger: s.Logger, metrics: counts, mode: s.Config.ProjectCheck}
	rounds := round.New(round.Config{
		Store: s.Store, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, Slots: slots, Tracing: s.Tracing,
		Kind: (&submitter{
			store: s.Store, vault: s.Vault, virtuous: opener, inbound: applier, metrics: counts, projects: checking, together: s.Config.VirtuousBatch,
			sleep: backoff.Sleep,
		}).kind(),
	})
	parts := round.New(round.Config{
		Store: s.Store, Logger: s.Logger, Slots: slots, Tracing: s.Tracing,
		Kind: (&inbox.Applying{Store: s.Store, Vault: s.Vault, Logger: s.Logger, Applier: applier, Open: openReader(s.Store, opener)}).Kind(),
	})
	messages := worker.NewMetrics(s.Registry)
	donations, err := donationWorker(ctx, s, opener, checking, messages, func() { rounds.Wake() })
	if err != nil {
		return err
	}
	webhooks, err := webhookWorker(ctx, s, messages, func() { parts.Wake() })
	if err != nil {
		return err
	}
	answered, err := answerOperators(ctx, s, opener, applier, func() { rounds.Wake() }, func() { parts.Wake() })
	defer answered()
	if err != nil {
		return err
	}
	s.Ready()
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return donations.Run(working) })
	group.Go(func() error { return webhooks.Run(working) })
	group.Go(func() error { rounds.Run(working); return nil })
	group.Go(func() error { parts.Run(working); return nil })
	return group.Wait()
}

// donationWorker captures donations and contacts, and what platforms say that they applied.
func donationWorker(
	ctx context.Context, s *service.Service, opener *connector.Virtuous, checking *projects, messages *worker.Metrics, wake func(),
) (*worker.Worker, error) {
	stream, err := s.JetStream.Stream(ctx, bus.StreamDonations)
	if err != nil {
		return nil, fmt.Errorf("look up stream: %w", err)
	}
	letters := lettersOf(s, jobCapture)
	capturing := &capturer{
		store: s.Store, vault: s.Vault, logger: s.Logger, metrics: checking.metrics, projects: checking, virtuous: opener,
		customers: &intake.Customers{Store: s.Store, Letters: letters, Logger: s.Logger, Count: checking.metrics.message},
		source:    s.Config.VirtuousTransactionSource, wake: wake,
	}
	erase := func(ctx context.Context, sequence uint64) error { return bus.Erase(ctx, stream, sequence) }
	incoming := intake.New(s.Store, s.Logger, bus.Creations(s.JetStream), erase)
	return newWorker(ctx, s, bus.StreamDonations, worker.Worker{
		Name: bus.DurableDonations, Letters: letters, Metrics: messages,
		Handler: func(ctx context.Context, delivery *worker.Delivery) error {
			switch {
			case bus.IsContact(delivery.Subject):
				return incoming.Handle(ctx, delivery, capturing.captureContact)
			case bus.IsApplied(delivery.Subject):
				return incoming.Handle(ctx, delivery, capturing.captureApplied)
			}
			return incoming.Handle(ctx, delivery, capturing.capture)
		},
	})
}

// webhookWorker stores the parts of deliveries.
func webhookWorker(ctx context.Context, s *service.Service, messages *worker.Metrics, wake func()) (*worker.Worker, error) {
	return newWorker(ctx, s, bus.StreamWebhooks, worker.Worker{
		Name: bus.DurableWebhooks, Letters: lettersOf(s, jobWebhooks), Metrics: messages,
		Handler: (&inbox.Intake{Store: s.Store, Logger: s.Logger, Wake: wake}).Handle,
	})
}

// newWorker completes a worker that reads the durable of its name.
func newWorker(ctx context.Context, s *service.Service, stream string, w worker.Worker) (*worker.Worker, error) {
	var err error
	if w.Consumer, err = s.JetStream.Consumer(ctx, stream, w.Name); err != nil {
		return nil, fmt.Errorf("look up consumer: %w", err)
	}
	w.Conn, w.Logger, w.Slots, w.Tracing = s.Conn, s.Logger, worker.FixedSlots(slots), s.Tracing
	return &w, nil
}

func lettersOf(s *service.Service, job string) *messageletter.Opener {
	return &messageletter.Opener{
		Store: s.Store, Vault: s.Vault, Job: job,
		StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
			return bus.StreamCreated(ctx, s.JetStream, name)
		},
	}
}

// openReader returns a function that opens a customer's Virtuous for records that a webhook did not bring whole.
func openReader(from *store.Store, opener *connector.Virtuous) func(ctx context.Context, customer string) (inbox.Reader, error) {
	return func(ctx context.Context, customer string) (inbox.Reader, error) {
		config, err := from.VirtuousConfig(ctx, customer)
		if err != nil {
			return nil, err
		}
		return opener.Open(ctx, config, nil, jobReadDelivered)
	}
}

const (
	// slots is how many messages of a stream, and how many customers, one process works at once.
	slots = 8
	// jobWebhooks is the job in the letters of parts; the requests to read records count under jobReadDelivered.
	jobWebhooks      = "webhooks"
	jobReadDelivered = "webhook"
)
