package main

import (
	"context"
	"sync"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mappingarchive"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/retention"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
)

// leastSlots is how many customers are worked at once however busy the process is. With fewer, destinations leave the processors idle.
const leastSlots = 4

// run sets up the service and runs it until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	kind := backfillKind(s.Config.BackfillTurn, s.Config.BackfillTries)
	return job.Serve(ctx, s, job.Serving{
		Stream: bus.StreamBackfill, Durable: bus.DurableBackfill, LetterJob: jobInitialBackfill,
		Slots: s.Config.BackfillSlots, LeastSlots: leastSlots,
		Kinds:   []job.Scheduled{{Kind: kind}},
		Handler: func(runners job.Runners) worker.Handler { return (&backfiller{runner: runners[kind.Name]}).handle },
		Beside: func(ctx context.Context, runners job.Runners) (wait func(), err error) {
			answered, err := service.AnswerSlowly(ctx, s, "users", "resync", service.Slow{Within: resyncWithin, Slots: resyncSlots},
				newResyncer(runners[kind.Name]).resync)
			if err != nil {
				return nil, err
			}
			err = service.Answer(s, "users", "show", func(ctx context.Context, question operatorapi.TraceQuestion) (operatorapi.TraceReply, error) {
				if !record.ValidID(question.RecordID) {
					return operatorapi.TraceReply{}, &service.FieldsError{Errors: map[string][]string{"recordId": {record.IDRule}}}
				}
				return record.TraceUser(ctx, s.Store.Conn, question)
			})
			if err != nil {
				answered()
				return nil, err
			}
			pruner := &retention.Pruner{Store: s.Store, Logger: s.Logger, Rules: retention.Rules(s.Config)}
			var background sync.WaitGroup
			background.Go(func() { pruner.Run(ctx) })
			archiver := &mappingarchive.Archiver{
				Store: s.Store, Vault: s.Vault, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, After: s.Config.ArchiveAfter,
			}
			background.Go(func() { archiver.Run(ctx) })
			return func() { background.Wait(); answered() }, nil
		},
	})
}
