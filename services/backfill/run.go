package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// longestRequest is how long one request may take at most; it stays under half of the claim timeout, so that
// a worker whose lease is about to end sends nothing that could outlive it.
const longestRequest = 10 * time.Second

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	consumer, err := s.JetStream.Consumer(ctx, bus.StreamBackfill, bus.DurableBackfill)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	timeout := min(longestRequest, s.Config.ClaimTimeout*2/5)
	transport := rest.NewTransport(s.Config.AllowPrivateDestinations)
	defer transport.CloseIdleConnections()
	vomoTransport := newVomoTransport(s.Config.BackfillSlots)
	defer vomoTransport.CloseIdleConnections()
	backfiller := &backfiller{
		store: s.Store, logger: s.Logger, holder: s.Instance, leaseFor: s.Config.ClaimTimeout,
		turn: s.Config.BackfillTurn, tries: s.Config.BackfillTries, metrics: newMetrics(s.Registry),
		connect: &connector{
			store: s.Store, vault: s.Vault, logger: s.Logger, vomoBaseURL: s.Config.VomoBaseURL, vomoTransport: vomoTransport,
			timeout: timeout, breakers: destination.NewBreakers(destination.BreakersConfig{}),
			concurrency: s.Config.DestinationSlots, operation: operation, jobOf: backfillJob,
			limits: budget.Limits{PerSecond: s.Config.VomoRequestsPerSecond, PerMinute: s.Config.VomoRequestsPerMinute},
			opener: &destination.Opener{Factories: map[string]destination.Factory{
				"rest": rest.Factory(rest.Config{Transport: transport, Timeout: timeout}, s.Config.AllowPrivateDestinations),
			}},
		},
	}
	letters := &deadletter.Opener{
		Store: s.Store, Vault: s.Vault, Job: jobInitialBackfill,
		StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
			return bus.StreamCreated(ctx, s.JetStream, name)
		},
	}
	pull := &worker.Worker{
		Name: bus.DurableBackfill, Conn: s.Conn, Consumer: consumer, Slots: s.Config.BackfillSlots,
		Handler: backfiller.handle, Letters: letters, Logger: s.Logger, Metrics: worker.NewMetrics(s.Registry),
		EndsWork: store.ErrLaneLost,
	}
	resynced, err := service.AnswerSlowly(ctx, s, "users", "resync", service.Slow{Within: resyncWithin, Slots: resyncSlots},
		newResyncer(backfiller).resync)
	if err != nil {
		return err
	}
	watch := &watch{store: s.Store, logger: s.Logger, publisher: &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { watch.run(watching) })
	err = pull.Run(ctx)
	stop()
	background.Wait()
	resynced()
	return err
}

// newVomoTransport keeps connections to VOMO open between pages, for every customer in hand.
func newVomoTransport(slots int) *http.Transport {
	return &http.Transport{
		MaxIdleConns: 8 * slots, MaxIdleConnsPerHost: 8 * slots, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: longestRequest, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
	}
}
