// Command onboarding takes in new customers. It validates an operator's message, seals its secrets, erases the message, tests
// the token, and queues the first backfill. It also answers operators' requests about customers, backfills and requests.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/destination"
	messageintake "rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/pkg/vomo"
	"rollcall.dev/pkg/worker"
)

func main() {
	os.Exit(service.Main("onboarding", run))
}

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	stream, err := s.JetStream.Stream(ctx, bus.StreamOnboarding)
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	if replicas := stream.CachedInfo().Config.Replicas; replicas > 1 && !s.Config.RequireSealedTokens {
		s.Logger.Warn("tokens in the clear may outlive their erasure in a replica's files: set REQUIRE_SEALED_TOKENS=true",
			zap.String("stream", bus.StreamOnboarding), zap.Int("replicas", replicas))
	}
	consumer, err := s.JetStream.Consumer(ctx, bus.StreamOnboarding, bus.DurableOnboarding)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	created := func(ctx context.Context, name string) (time.Time, error) {
		return bus.StreamCreated(ctx, s.JetStream, name)
	}
	transport := vomo.NewTransport(s.Config.OnboardingSlots)
	defer transport.CloseIdleConnections()
	toVirtuous := virtuous.NewTransport(s.Config.OnboardingSlots)
	defer toVirtuous.CloseIdleConnections()
	settler := newSettler(s, transport, toVirtuous)
	private := destination.PrivateAccess{All: s.Config.AllowPrivateDestinations, Hosts: s.Config.PrivateHosts()}
	letters := &messageletter.Opener{Store: s.Store, Vault: s.Vault, Job: "onboarding", StreamCreated: created}
	messages := bus.CustomerMessages{JetStream: s.JetStream}
	offboarder := newOffboarder(s, messages)
	intake := &intake{
		store: s.Store, vault: s.Vault, letters: letters, logger: s.Logger,
		messages: messageintake.New(s.Store, s.Logger, bus.Creations(s.JetStream), func(ctx context.Context, sequence uint64) error {
			return bus.Erase(ctx, stream, sequence)
		}),
		wakeSettler:   settler.wakeUp,
		requireSealed: s.Config.RequireSealedTokens, private: private, offboarder: offboarder, source: s.Config.VirtuousTransactionSource,
		queuedDonations: queuedDonations(messages),
	}
	operators := &operators{
		store: s.Store, vault: s.Vault, logger: s.Logger, holder: s.Instance, leaseFor: s.Config.ClaimTimeout, patience: laneTimeout,
		private: private, limits: settler.limits, source: s.Config.VirtuousTransactionSource, publicURL: settler.publicURL,
	}
	if err := answerOperators(s, operators, messages, created); err != nil {
		return err
	}
	pull := &worker.Worker{
		Name: bus.DurableOnboarding, Conn: s.Conn, Consumer: consumer, Slots: worker.FixedSlots(s.Config.OnboardingSlots),
		Handler: intake.handle, Letters: letters, Logger: s.Logger, Metrics: worker.NewMetrics(s.Registry),
		Tracing: s.Tracing,
	}
	settling, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { settler.run(settling) })
	background.Go(func() { offboarder.run(settling) })
	background.Go(func() { (&subscriptionRemover{offboarder: offboarder, virtuous: settler.virtuous}).run(settling) })
	background.Go(func() { newSubscriptionAdder(settler).run(settling) })
	background.Go(func() { tokenRejections(settler).run(settling) })
	background.Go(func() { keyRejections(settler).run(settling) })
	s.Ready()
	err = pull.Run(ctx)
	stop()
	background.Wait()
	return unlessCanceled(err)
}

func unlessCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// queuedDonations counts a customer's donations in ROLLCALL_DONATIONS.
func queuedDonations(messages bus.CustomerMessages) func(ctx context.Context, customer string) (uint64, error) {
	return func(ctx context.Context, customer string) (uint64, error) {
		counts, err := messages.Count(ctx, customer)
		return counts[bus.StreamDonations], err
	}
}

// newSettler returns the settler of the service.
func newSettler(s *service.Service, toVomo, toVirtuous http.RoundTripper) *settler {
	return &settler{
		store: s.Store, vault: s.Vault, logger: s.Logger, slots: s.Config.OnboardingSlots, tracing: s.Tracing, wake: make(chan struct{}, 1),
		vomoBaseURL: s.Config.VomoBaseURL, transport: toVomo,
		limits: budget.Limits{PerSecond: s.Config.VomoRequestsPerSecond, PerMinute: s.Config.VomoRequestsPerMinute},
		source: s.Config.VirtuousTransactionSource, publicURL: s.Config.WebhookPublicURL, forgetAtOnce: forgetAtOnce,
		virtuous: &connector.Virtuous{
			Store: s.Store, Vault: s.Vault, Logger: s.Logger, BaseURL: s.Config.VirtuousBaseURL, Transport: toVirtuous, Timeout: probeTimeout,
			Hourly: budget.Hourly{PerHour: s.Config.VirtuousRequestsPerHour, Share: s.Config.VirtuousShare},
		},
	}
}
