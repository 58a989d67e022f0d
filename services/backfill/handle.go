package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	jobInitialBackfill = "initial_backfill" // its name in job_log (docs/guides.md#names)
	jobFullResync      = "full_resync"      // the same for a customer whose first backfill is complete
	operation          = "backfill"         // its name in sync_audit (docs/guides.md#names)
	releaseTimeout     = 5 * time.Second
)

// backfiller works backfill requests. The work is a row; a message only says that there is some.
type backfiller struct {
	store    *store.Store
	logger   *zap.Logger
	holder   string
	leaseFor time.Duration
	turn     time.Duration
	tries    int
	metrics  *metrics
	connect  *connector.Connector
	probes   *job.ProbeSlots // nil: as many probes as runs
}

// handle claims the customer's unfinished run and works it until it is complete, parked, or handed back.
func (b *backfiller) handle(ctx context.Context, delivery *worker.Delivery) error {
	end := b.probes.Begin()
	defer end()
	request := &rollcallv1.BackfillRequest{}
	customerID := bus.CustomerOf(delivery.Subject)
	errs := rollcallv1.Decode(delivery.Data, request)
	if len(errs) == 0 {
		errs = request.Validate(customerID)
	}
	if len(errs) > 0 {
		return fault.Permanent("request_invalid", fmt.Errorf("read backfill request: %w", errs))
	}
	log := b.logger.With(zap.String("customer", customerID))
	customer, err := b.store.Customer(ctx, customerID)
	if errors.Is(err, store.ErrNotFound) {
		log.Info("backfill request settled: nobody of that id was onboarded")
		return nil
	}
	if err != nil {
		return err
	}
	if !customer.Active() {
		log.Info("backfill request settled: the customer is paused or switched off")
		return nil
	}
	run, err := b.store.OpenRun(ctx, customerID)
	if errors.Is(err, store.ErrNotFound) {
		log.Debug("backfill request settled: nothing to do")
		return nil
	}
	if err != nil {
		return err
	}
	if run.State == store.RunPaused {
		log.Info("backfill request settled: an operator paused the backfill")
		return nil
	}
	if run.State == store.RunParked && request.GetRunId() != 0 {
		return nil // an old wake-up: the run is woken when it is due; one published by hand is worked now
	}
	if done, err := b.putOff(ctx, customer, run, log); err != nil || done {
		return err
	}
	release := func() {}
	if job.IsProbe(run.ParkReason) {
		var wait time.Duration
		release, wait, err = b.probes.Admit(ctx, customer.ID, b.connect.HostSilent(customer), func(ctx context.Context) (bool, error) {
			return b.store.RunWaitsBeside(ctx, run.ParkReason)
		})
		if err != nil || release == nil {
			return b.comeAgain(ctx, run, wait, err, log)
		}
		defer release()
	}
	return b.claim(ctx, delivery, customer, run, release, log)
}

// comeAgain puts off a probe that found no slot. It was not tried, and no attempt is counted.
func (b *backfiller) comeAgain(ctx context.Context, run store.Run, wait time.Duration, err error, log *zap.Logger) error {
	if err != nil {
		return err
	}
	done, err := b.store.RunComeAgain(ctx, run.ID, wait)
	if err != nil {
		return err
	}
	if !done { // a worker has it, or had: the message comes again
		return worker.Retry(job.LaneTakenPause, job.ErrNoProbeSlot)
	}
	log.Debug("probe of a destination put off", zap.Int64("run", run.ID), zap.Duration("for", wait))
	return nil
}

// backfillJob is the job that reads all users of this customer.
func backfillJob(customer store.Customer) string {
	if customer.BackfillCompletedAt != nil {
		return jobFullResync
	}
	return jobInitialBackfill
}

// claim takes the customer's lane for the time of the work.
func (b *backfiller) claim(ctx context.Context, delivery *worker.Delivery, customer store.Customer, open store.Run, release func(),
	log *zap.Logger,
) error {
	lease, err := b.store.TakeLease(ctx, customer.ID, b.holder, b.leaseFor)
	if errors.Is(err, store.ErrLaneTaken) {
		return worker.Retry(job.LaneTakenPause, err)
	}
	if err != nil {
		return err
	}
	message := ctx
	ctx, done := lease.Hold(ctx)
	defer func() {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if err := done(releasing); err != nil {
			log.Warn("lease not released; it runs out by itself", zap.Error(err))
		}
	}()
	// Read again now that no other job can change it: the destination may have been replaced while we waited.
	if customer, err = b.store.Customer(ctx, customer.ID); err != nil {
		return err
	}
	if !customer.Active() {
		return nil
	}
	turn := &turn{backfiller: b, customer: customer, run: open, lease: lease, release: release, log: log.With(zap.Int64("run", open.ID))}
	err = b.store.InLane(ctx, lease, func(ctx context.Context, tx *store.Tx) error {
		claimed, err := tx.ClaimRun(ctx, open.ID, lease.Epoch)
		if err == nil {
			turn.run = claimed
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil // finished, or stopped by an operator, meanwhile
	case errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable): // it may have been claimed all the same
		return job.Settled(message, func(ctx context.Context) error { return turn.laneLost(ctx, err) })
	case err != nil:
		return err
	}
	run := turn.run
	if run.Attempts > b.tries {
		return job.Settled(message, func(ctx context.Context) error {
			return turn.giveUp(ctx, fault.Permanent("too_many_attempts", errors.New("claimed too often without a committed page")))
		})
	}
	turn.log.Info("backfill claimed", zap.Int("from_page", run.NextPage), zap.Int64("epoch", lease.Epoch), zap.Int("attempt", run.Attempts))
	outcome := turn.work(ctx, delivery.Draining())
	return job.Settled(message, func(settling context.Context) error { return turn.settle(settling, ctx, outcome) })
}
