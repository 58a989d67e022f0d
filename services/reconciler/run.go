package main

import (
	"context"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
)

// run sets up the service and runs it until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	kind := userDailyKind()
	scheduler := &scheduler{store: s.Store, logger: s.Logger, kind: kind}
	return job.Serve(ctx, s, job.Serving{
		Stream: bus.StreamReconcile, Durable: bus.DurableReconciler, Slots: s.Config.ReconcileSlots, Kind: kind,
		Handler:  func(runner *job.Runner) worker.Handler { return (&reconciler{userDaily: runner}).handle },
		Schedule: scheduler.schedule,
	})
}
