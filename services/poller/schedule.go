package main

import (
	"context"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
)

// scheduleAtOnce is the largest number of customers that one transaction schedules.
const scheduleAtOnce = 100

// scheduler starts the polls that are due.
type scheduler struct {
	store    *store.Store
	kind     job.Kind
	lateness lateness
}

// schedule starts a poll for a batch of due customers and sets the next time of each by its cadence. If the previous
// poll of a customer is still in progress, no second one is started.
func (s *scheduler) schedule(ctx context.Context) (more bool, err error) {
	err = s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		customers, err := tx.DuePolls(ctx, scheduleAtOnce)
		if err != nil || len(customers) == 0 {
			return err
		}
		more = len(customers) >= scheduleAtOnce
		traces := make([]string, 0, len(customers))
		for range customers {
			traces = append(traces, telemetry.TraceParent(ctx))
		}
		runs, err := tx.StartRuns(ctx, store.RunStart{Kind: s.kind.Name, Job: jobPoll, Customers: customers, TraceIDs: traces})
		if err != nil {
			return err
		}
		s.lateness.skipped(len(customers) - len(runs))
		return s.kind.Request(ctx, tx, runs)
	})
	return more && err == nil, err
}
