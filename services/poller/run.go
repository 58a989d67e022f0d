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
	kind := pollKind()
	scheduler := &scheduler{store: s.Store, kind: kind, lateness: newLateness(s.Registry)}
	return job.Serve(ctx, s, job.Serving{
		Stream: bus.StreamPoll, Durable: bus.DurablePoller, Slots: s.Config.PollSlots, Kind: kind,
		Handler:  func(runner *job.Runner) worker.Handler { return (&poller{runner: runner}).handle },
		Schedule: scheduler.schedule,
	})
}
