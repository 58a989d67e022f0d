package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
)

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	consumer, err := s.JetStream.Consumer(ctx, bus.StreamBackfill, bus.DurableBackfill)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	connect, disconnect := connector.Open(s, s.Config.BackfillSlots)
	defer disconnect()
	backfiller := &backfiller{
		store: s.Store, logger: s.Logger, holder: s.Instance, leaseFor: s.Config.ClaimTimeout,
		turn: s.Config.BackfillTurn, tries: s.Config.BackfillTries, metrics: newMetrics(s.Registry), connect: connect,
		probes: job.NewProbeSlots(s.Config.BackfillSlots, time.Now),
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
	}
	resynced, err := service.AnswerSlowly(ctx, s, "users", "resync", service.Slow{Within: resyncWithin, Slots: resyncSlots},
		newResyncer(backfiller).resync)
	if err != nil {
		return err
	}
	watch := &watch{
		store: s.Store, logger: s.Logger, publisher: &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}, jobAge: s.Config.JobLogAge,
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { watch.run(watching) })
	s.Ready()
	err = pull.Run(ctx)
	stop()
	background.Wait()
	resynced()
	return err
}
