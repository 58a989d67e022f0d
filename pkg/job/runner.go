package job

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

const (
	// LaneTakenPause: a job that finds the lane taken comes back within two seconds.
	LaneTakenPause = 1500 * time.Millisecond
	releaseTimeout = 5 * time.Second
	laneLostPause  = time.Second
	// defaultTurn is how long a run keeps its slot before it queues behind the others.
	defaultTurn = time.Minute
	// tries is how often a run is claimed without a committed page before it is given up.
	tries = 10
)

// Runner works the runs of one kind. The work is a row; a message only says that there is some.
type Runner struct {
	Store    *store.Store
	Logger   *zap.Logger
	Holder   string
	LeaseFor time.Duration
	Turn     time.Duration // 0: a minute
	Kind     Kind
	Connect  *connector.Connector
	Metrics  *Metrics
	Probes   *ProbeSlots // nil: as many probes as runs
}

// Work claims the customer's unfinished run and works it until it is complete, parked, or handed back. runID is the
// run that the message was published for; 0 is one published by hand, for which a run is begun where none stands.
// Its outcome is a worker's.
func (r *Runner) Work(ctx context.Context, delivery *worker.Delivery, customerID string, runID int64) error {
	end := r.Probes.Begin()
	defer end()
	log := r.Logger.With(zap.String("customer", customerID), zap.String("kind", r.Kind.Name))
	customer, err := r.Store.Customer(ctx, customerID)
	if errors.Is(err, store.ErrNotFound) {
		log.Info("request settled: nobody of that id was onboarded")
		return nil
	}
	if err != nil {
		return err
	}
	if !customer.Steady() {
		log.Info("request settled: the customer is paused, switched off, or not through its first backfill")
		return nil
	}
	run, err := r.open(ctx, customer, runID)
	if errors.Is(err, store.ErrNotFound) {
		log.Debug("request settled: nothing to do")
		return nil
	}
	if err != nil {
		return err
	}
	if run.State == store.RunParked && runID != 0 {
		return nil // an old wake-up: the run is woken when it is due; one published by hand is worked now
	}
	release := func() {}
	if IsProbe(run.ParkReason) {
		var wait time.Duration
		release, wait, err = r.Probes.Admit(ctx, customer.ID, r.Connect.HostSilent(customer), func(ctx context.Context) (bool, error) {
			return r.Store.SyncRunWaitsBeside(ctx, r.Kind.Name, run.ParkReason)
		})
		if err != nil || release == nil {
			return r.comeAgain(ctx, run, wait, err, log)
		}
		defer release()
	}
	return r.claim(ctx, delivery, customer, run, release, log)
}

// comeAgain puts off a probe that found no slot. It was not tried, and no attempt is counted.
func (r *Runner) comeAgain(ctx context.Context, run store.SyncRun, wait time.Duration, err error, log *zap.Logger) error {
	if err != nil {
		return err
	}
	done, err := r.Store.SyncRunComeAgain(ctx, run.ID, wait)
	if err != nil {
		return err
	}
	if !done { // a worker has it, or had: the message comes again
		return worker.Retry(shortestWait, ErrNoProbeSlot)
	}
	log.Debug("probe of a destination put off", zap.Int64("run", run.ID), zap.Duration("for", wait))
	return nil
}

// open reads the run, and begins one where somebody asked for it by hand.
func (r *Runner) open(ctx context.Context, customer store.Customer, runID int64) (store.SyncRun, error) {
	run, err := r.Store.OpenSyncRun(ctx, customer.ID, r.Kind.Name)
	if !errors.Is(err, store.ErrNotFound) || runID != 0 {
		return run, err
	}
	err = r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer.ID); err != nil {
			return err
		}
		_, err := r.Kind.Start(ctx, tx, customer)
		return err
	})
	if err != nil {
		return store.SyncRun{}, err
	}
	return r.Store.OpenSyncRun(ctx, customer.ID, r.Kind.Name)
}

// claim takes the customer's lane for the time of the work.
func (r *Runner) claim(ctx context.Context, delivery *worker.Delivery, customer store.Customer, open store.SyncRun, release func(),
	log *zap.Logger,
) error {
	lease, err := r.Store.TakeLease(ctx, customer.ID, r.Holder, r.LeaseFor)
	if errors.Is(err, store.ErrLaneTaken) {
		return worker.Retry(LaneTakenPause, err)
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
	// Read again now that nobody else can change it.
	if customer, err = r.Store.Customer(ctx, customer.ID); err != nil {
		return err
	}
	if !customer.Steady() {
		return nil
	}
	turn := &turn{Runner: r, customer: customer, run: open, lease: lease, release: release}
	turn.log = log.With(zap.Int64("run", open.ID), zap.String("trace", open.TraceID))
	err = r.Store.InLane(ctx, lease, func(ctx context.Context, tx *store.Tx) error {
		claimed, err := tx.ClaimSyncRun(ctx, open.ID, lease.Epoch)
		if err == nil {
			turn.run = claimed
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil // it has ended meanwhile
	case errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable): // it may have been claimed all the same
		return Settled(message, func(ctx context.Context) error { return turn.laneLost(ctx, err) })
	case err != nil:
		return err
	}
	run := turn.run
	if run.Attempts > tries {
		return Settled(message, func(ctx context.Context) error {
			return turn.giveUp(ctx, fault.Permanent("too_many_attempts", errors.New("claimed too often without a committed page")))
		})
	}
	turn.log.Debug("run claimed", zap.Int("from_page", run.NextPage), zap.Int64("epoch", lease.Epoch), zap.Int("attempt", run.Attempts))
	outcome := turn.work(ctx, delivery.Draining())
	return Settled(message, func(settling context.Context) error { return turn.settle(settling, ctx, outcome) })
}
