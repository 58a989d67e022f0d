package job

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
)

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
	Slots    *worker.Slots      // nil: their number does not go by the load
	Tracing  *telemetry.Tracing // nil: nothing is traced
}

// Work claims the customer's unfinished run and works it until it is finished, parked, or handed back. runID is the run that
// the message was published for; 0 is a message published by hand. Its outcome is a worker's.
func (r *Runner) Work(ctx context.Context, delivery *worker.Delivery, customerID string, runID int64) error {
	end := r.Probes.Begin()
	defer end()
	log := r.Logger.WithLazy(zap.String("customer", customerID), zap.String("kind", r.Kind.Name))
	customer, known, err := r.Store.CustomerAndRun(ctx, customerID, r.Kind.Name)
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
	run, err := r.open(ctx, customer, known, runID)
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

// open returns the run that is known. If there is none, it starts one for a message published by hand.
func (r *Runner) open(ctx context.Context, customer store.Customer, known *store.Run, runID int64) (store.Run, error) {
	if known != nil {
		return *known, nil
	}
	if runID != 0 || r.Kind.Start == nil {
		return store.Run{}, store.ErrNotFound
	}
	err := r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
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
