package main

import (
	"context"
	"sync"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/pkg/worker"
	"rollcall.dev/services/reconciler/internal/deletion"
	"rollcall.dev/services/reconciler/internal/giving"
	"rollcall.dev/services/reconciler/internal/refresh"
)

// run sets up the service and runs it until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	daily := userDailyKind()
	nightly := &scheduler{store: s.Store, logger: s.Logger, kind: daily}
	searcher := &deletion.Searcher{Vault: s.Vault, Guard: deletion.Guard{Share: s.Config.DeletionGuard, Min: s.Config.DeletionGuardMin}}
	deletions := searcher.Kind()
	weekly := &deletion.Scheduler{Store: s.Store, Logger: s.Logger, Kind: deletions, Retention: s.Config.DeletionCandidateRetention}
	toVirtuous := virtuous.NewTransport(givingSlots)
	defer toVirtuous.CloseIdleConnections()
	rounds := givingRounds(s, toVirtuous, searcher.Guard)
	reports, err := dailyReports(s)
	if err != nil {
		return err
	}
	cycles := refresh.Kind(s.Config.ParticipationShare)
	return job.Serve(ctx, s, job.Serving{
		Stream: bus.StreamReconcile, Durable: bus.DurableReconciler, Slots: s.Config.ReconcileSlots,
		LetterJob: store.JobUserDaily,
		Kinds: []job.Scheduled{
			{Kind: daily, Schedule: nightly.schedule},
			{Kind: deletions, Schedule: weekly.Schedule},
			{Kind: cycles, Schedule: refresh.Schedule(s.Store, cycles)},
		},
		Handler: func(runners job.Runners) worker.Handler {
			return (&reconciler{runners: runners, store: s.Store, reporter: reports.Reporter, wake: rounds.Wake}).handle
		},
		Beside: func(ctx context.Context, _ job.Runners) (wait func(), err error) {
			api := &deletion.API{
				Store: s.Store, Vault: s.Vault, Logger: s.Logger, Kind: deletions,
				Gifts: &giving.Deletions{Store: s.Store, Logger: s.Logger, Wake: rounds.Wake},
			}
			if err := api.Answer(s); err != nil {
				return nil, err
			}
			var beside sync.WaitGroup
			beside.Go(func() { weekly.Clean(ctx) })
			beside.Go(func() { rounds.Run(ctx) })
			beside.Go(func() { reports.Run(ctx) })
			return beside.Wait, nil
		},
	})
}
