package job

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
)

// LaneTakenPause is after how long a job that finds the lane taken comes back.
const LaneTakenPause = 1500 * time.Millisecond

// Runner works the runs of one kind. The work is a row; a message only says that there is some.
type Runner struct {
	Store    *store.Store
	Logger   *zap.Logger
	Holder   string
	LeaseFor time.Duration
	Kind     Kind
	Connect  *connector.Connector
	Metrics  *Metrics
	Probes   *ProbeSlots        // nil: as many probes as runs
	Tracing  *telemetry.Tracing // nil: nothing is traced
}

// Work claims the customer's unfinished run and works it until it is finished, parked, or handed back. runID is the run that
// the message was published for; 0 is a message published by hand. Its outcome is a worker's.
func (r *Runner) Work(ctx context.Context, delivery *worker.Delivery, customerID string, runID int64) error {
	end := r.Probes.Begin()
	defer end()
	log := r.Logger.With(zap.String("customer", customerID), zap.String("kind", r.Kind.Name))
	customer, err := r.Store.Customer(ctx, customerID)
	if errors.Is(err, store.ErrNotFound) {
		log.Info("request settled: no customer of that id was onboarded")
		return r.noteRequest(ctx, delivery, customerID, runID, codeUnknownCustomer)
	}
	if err != nil {
		return err
	}
	if !r.Kind.Serves(customer) {
		log.Info("request settled: the customer is paused, switched off, or not ready for this kind of run")
		return r.noteRequest(ctx, delivery, customerID, runID, codeNotServed)
	}
	run, err := r.open(ctx, customer, runID)
	if err == nil {
		if err := r.noteRequest(ctx, delivery, customerID, runID, ""); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		log.Debug("request settled: nothing to do")
		return r.noteRequest(ctx, delivery, customerID, runID, codeNoRun)
	case err != nil:
		return err
	case run.State == store.RunPaused:
		log.Info("request settled: an operator paused the run")
		return nil
	case run.State == store.RunParked && runID != 0:
		return nil // an old request: the run is woken when it is due; one published by hand is worked now
	}
	if done, err := r.putOff(ctx, customer, run, log); err != nil || done {
		return err
	}
	release := func() {}
	if IsProbe(run.ParkReason) {
		var wait time.Duration
		release, wait, err = r.Probes.Admit(ctx, customer.ID, r.Connect.HostSilent(customer), func(ctx context.Context) (bool, error) {
			return r.Store.RunsWaitBeside(ctx, r.Kind.Name, run.ParkReason)
		})
		if err != nil {
			return err
		}
		if release == nil {
			return r.delay(ctx, run, wait, log)
		}
		defer release()
	}
	return r.claim(ctx, delivery, customer, run, release, log)
}

// Codes of requests in operator_audit that led to no run.
const (
	codeUnknownCustomer = "unknown_customer"
	codeNotServed       = "customer_not_served"
	codeNoRun           = "no_run"
)

// noteRequest notes a request that an operator published, and why it led to no run. rollcall's own requests have a run's id.
func (r *Runner) noteRequest(ctx context.Context, delivery *worker.Delivery, customerID string, runID int64, code string) error {
	if runID != 0 {
		return nil
	}
	outcome := store.ActDone
	if code != "" {
		outcome = store.ActRejected
	}
	_, err := r.Store.NoteAct(ctx, operatoraudit.MessageAct(delivery, r.Kind.verb(), customerID, outcome, code))
	return err
}

// open reads the run. If there is none, it starts one for a message published by hand.
func (r *Runner) open(ctx context.Context, customer store.Customer, runID int64) (store.Run, error) {
	run, err := r.Store.OpenRun(ctx, customer.ID, r.Kind.Name)
	if !errors.Is(err, store.ErrNotFound) || runID != 0 || r.Kind.Start == nil {
		return run, err
	}
	err = r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer.ID); err != nil {
			return err
		}
		return r.Kind.Start(ctx, tx, customer)
	})
	if err != nil {
		return store.Run{}, err
	}
	return r.Store.OpenRun(ctx, customer.ID, r.Kind.Name)
}

// putOff parks a run that no worker has if the customer's window is closed, so that it takes no slot and no lane. A request
// published by hand is no exception: the window is the customer's wish, and an operator who wants to change it changes the
// window.
func (r *Runner) putOff(ctx context.Context, customer store.Customer, run store.Run, log *zap.Logger) (done bool, err error) {
	if run.State == store.RunRunning {
		return false, nil // its worker may be dead: the lane tells
	}
	open, err := r.Kind.window(customer)
	if err != nil {
		return false, nil //nolint:nilerr // the run is given up for it, which only the worker that claims it can do
	}
	wait, err := r.waitFor(ctx, open)
	if err != nil || !wait.Needed() {
		return false, err
	}
	if done, err = r.Store.PutOffRun(ctx, customer.ID, r.Kind.Name, wait.Reason, wait.Until); err != nil || !done {
		return false, err
	}
	r.Metrics.parked(customer.ID, r.Kind.Name, wait.Reason)
	log.Info("run put off", zap.Int64("run", run.ID), zap.String("reason", wait.Reason), zap.Time("until", wait.Until))
	return true, nil
}

func (k Kind) window(customer store.Customer) (window.Window, error) {
	if k.Window == nil {
		return window.Window{}, nil
	}
	return k.Window(customer)
}

// waitFor asks the database for the time: what is decided by it is stored, and several machines decide.
func (r *Runner) waitFor(ctx context.Context, open window.Window) (window.Wait, error) {
	if open.Always() {
		return window.Wait{}, nil
	}
	now, err := r.Store.Now(ctx)
	if err != nil {
		return window.Wait{}, err
	}
	return open.WaitAt(now), nil
}

// delay puts off a probe that found no slot. It was not tried, and no attempt is counted.
func (r *Runner) delay(ctx context.Context, run store.Run, wait time.Duration, log *zap.Logger) error {
	done, err := r.Store.DelayRun(ctx, run.Customer, run.Kind, wait)
	if err != nil {
		return err
	}
	if !done { // a worker has it, or had it: the message comes again
		return worker.Retry(shortestWait, ErrNoProbeSlot)
	}
	log.Debug("probe of a destination put off", zap.Int64("run", run.ID), zap.Duration("for", wait))
	return nil
}

// claim takes the customer's lane for the time of the work.
func (r *Runner) claim(ctx context.Context, delivery *worker.Delivery, customer store.Customer, open store.Run, release func(),
	log *zap.Logger,
) error {
	lease, err := r.takeLane(ctx, customer)
	if errors.Is(err, store.ErrLaneTaken) {
		return worker.Retry(LaneTakenPause, err)
	}
	if err != nil {
		return err
	}
	message := ctx
	ctx, letGo := Hold(ctx, lease, log)
	defer letGo()
	// Read again now that no other job can change it: the destination may have been replaced while we waited.
	if customer, err = r.Store.Customer(ctx, customer.ID); err != nil {
		return err
	}
	if !r.Kind.Serves(customer) {
		return nil
	}
	execution := &Execution{Runner: r, Customer: customer, Run: open, Lease: lease, release: release}
	err = r.Store.InLane(ctx, lease, func(ctx context.Context, tx *store.Tx) error {
		claimed, err := tx.ClaimRun(ctx, customer.ID, r.Kind.Name, lease.Epoch)
		if err == nil {
			execution.Run = claimed
		}
		return err
	})
	ctx, span := r.Tracing.Continue(ctx, execution.Run.TraceID, telemetry.SpanRun(r.Kind.Name), customer.ID)
	defer func() { span.End(nil) }()
	execution.Log = log.With(zap.Int64("run", execution.Run.ID), zap.String("trace", execution.Run.TraceID)).With(telemetry.LogFields(ctx)...)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil // it ended, or an operator stopped it, meanwhile
	case errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable): // it may have been claimed all the same
		return Settled(message, func(ctx context.Context) error { return execution.laneLost(ctx, err) })
	case err != nil:
		return err
	}
	run := execution.Run
	if run.Attempts > r.tries() {
		return Settled(message, func(ctx context.Context) error {
			return execution.giveUp(ctx, fault.Permanent("too_many_attempts", errors.New("claimed too often without a committed page")))
		})
	}
	execution.Log.Log(r.level(), "run claimed", zap.Int("from_page", run.NextPage), zap.Int64("epoch", lease.Epoch), zap.Int("attempt", run.Attempts))
	span.Set(telemetry.Run(run.ID), telemetry.Attempt(run.Attempts))
	outcome := execution.work(ctx, delivery.Draining())
	span.Set(telemetry.Outcome(outcomeWord(outcome)))
	return Settled(message, func(settling context.Context) error { return execution.settle(settling, ctx, outcome) })
}

func (r *Runner) takeLane(ctx context.Context, customer store.Customer) (*store.Lease, error) {
	if r.Kind.Patience != nil {
		if patience := r.Kind.Patience(customer); patience > 0 {
			return r.Store.AwaitLease(ctx, customer.ID, r.Holder, r.LeaseFor, patience)
		}
	}
	return r.Store.TakeLease(ctx, customer.ID, r.Holder, r.LeaseFor)
}

func (r *Runner) tries() int { return cmp.Or(r.Kind.Tries, defaultTries) }

func (r *Runner) level() zapcore.Level {
	if r.Kind.Routine {
		return zap.DebugLevel
	}
	return zap.InfoLevel
}
