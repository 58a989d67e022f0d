package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/vomo"
	"rollcall.dev/pkg/worker"
)

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
	settler := &settler{
		store: s.Store, vault: s.Vault, logger: s.Logger, slots: s.Config.OnboardingSlots, wake: make(chan struct{}, 1),
		vomoBaseURL: s.Config.VomoBaseURL, transport: transport,
		limits: budget.Limits{PerSecond: s.Config.VomoRequestsPerSecond, PerMinute: s.Config.VomoRequestsPerMinute},
	}
	private := destination.PrivateAccess{All: s.Config.AllowPrivateDestinations, Hosts: s.Config.PrivateHosts()}
	letters := &deadletter.Opener{Store: s.Store, Vault: s.Vault, Job: "onboarding", StreamCreated: created}
	intake := &intake{
		store: s.Store, vault: s.Vault, letters: letters, logger: s.Logger, created: created,
		attempts:      &attempts{store: s.Store, logger: s.Logger},
		erase:         func(ctx context.Context, sequence uint64) error { return bus.Erase(ctx, stream, sequence) },
		wakeSettler:   settler.wakeUp,
		requireSealed: s.Config.RequireSealedTokens, private: private,
	}
	operators := &operators{
		store: s.Store, vault: s.Vault, logger: s.Logger, holder: s.Instance, leaseFor: s.Config.ClaimTimeout,
		patience: lanePatience, private: private, limits: settler.limits,
	}
	if err := answerOperators(s, operators, created); err != nil {
		return err
	}
	pull := &worker.Worker{
		Name: bus.DurableOnboarding, Conn: s.Conn, Consumer: consumer, Slots: s.Config.OnboardingSlots,
		Handler: intake.handle, Letters: letters, Logger: s.Logger, Metrics: worker.NewMetrics(s.Registry),
	}
	settling, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { settler.run(settling) })
	background.Go(func() { (&refusals{settler}).run(settling) })
	s.Ready()
	err = pull.Run(ctx)
	stop()
	background.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
