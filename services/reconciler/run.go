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
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	consumer, err := s.JetStream.Consumer(ctx, bus.StreamReconcile, bus.DurableReconciler)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	connect, disconnect := connector.Open(s, s.Config.ReconcileSlots)
	defer disconnect()
	kind := userDailyKind()
	reconciler := &reconciler{userDaily: &job.Runner{
		Store: s.Store, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, Kind: kind, Connect: connect,
		Metrics: job.NewMetrics(s.Registry),
	}}
	pull := &worker.Worker{
		Name: bus.DurableReconciler, Conn: s.Conn, Consumer: consumer, Slots: s.Config.ReconcileSlots, Handler: reconciler.handle,
		Letters: &deadletter.Opener{
			Store: s.Store, Vault: s.Vault, Job: store.JobUserDaily,
			StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
				return bus.StreamCreated(ctx, s.JetStream, name)
			},
		},
		Logger: s.Logger, Metrics: worker.NewMetrics(s.Registry), EndsWork: store.ErrLaneLost,
	}
	scheduler := &scheduler{store: s.Store, logger: s.Logger, kind: kind}
	watch := &job.Watch{
		Store: s.Store, Logger: s.Logger, Publisher: &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}, Kind: kind,
		Schedule: scheduler.schedule,
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { watch.Run(watching) })
	err = pull.Run(ctx)
	stop()
	background.Wait()
	return err
}
