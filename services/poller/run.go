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
		Stream: bus.StreamPoll, Durable: bus.DurablePoller, Slots: s.Config.PollSlots, LetterJob: jobPoll,
		Kinds:   []job.Scheduled{{Kind: kind, Schedule: scheduler.schedule}},
		Handler: func(runners job.Runners) worker.Handler { return (&poller{runner: runners[kind.Name]}).handle },
	})
}
