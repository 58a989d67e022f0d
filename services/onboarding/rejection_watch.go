package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	// If one side rejects the credentials of at least manyRejected customers within a minute, and of one in minShare of the customers with
	// requests, it is that side's fault.
	manyRejected    = 3
	minShare        = 5
	rejectionsEvery = time.Second
	tokenRetryEvery = 5 * time.Second
)

// rejectionWatch distinguishes a rejected credential from a side, VOMO or Virtuous, that rejects all of them. Every replica runs a watch for
// each. Each change is one conditional statement, so only one replica makes it.
type rejectionWatch struct {
	store  *store.Store
	logger *zap.Logger
	side   rejectingSide
}

// rejectingSide is what a watch has to know about VOMO or Virtuous.
type rejectingSide struct {
	name         string
	alert        string // that the side rejects many credentials
	alertCleared string
	credential   string // the word for it

	rejectedLately func(ctx context.Context) (int64, error)               // customers
	askedLately    func(ctx context.Context, atMost int32) (int64, error) // customers
	rejectsMany    func(ctx context.Context) (bool, error)
	begin, end     func(ctx context.Context, tx *store.Tx) (changed bool, err error) // of rejecting many
	rejectedBySide func(ctx context.Context) (customers []string, err error)         // switched off before it was known whose fault that was
	claimTries     func(ctx context.Context) (customers []string, err error)
	test           func(ctx context.Context, customer string) (isRejected bool, err error) // the stored credential, with one request
	switchOn       func(ctx context.Context, customer string, isAccepted bool) error       // one that was switched off for its credential
}

// run checks until ctx ends. Credentials are retried in parallel, so that a silent side does not delay the checks.
func (r *rejectionWatch) run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.runEvery(ctx, tokenRetryEvery, "retry of rejected credentials failed", r.tryRejected)
	}()
	r.runEvery(ctx, rejectionsEvery, "check of rejected credentials failed; it will be retried", r.check)
	<-done
}

func (r *rejectionWatch) runEvery(ctx context.Context, interval time.Duration, failure string, do func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			r.logger.Warn(failure, zap.String("side", r.side.name), zap.Error(err))
		}
	}
}

// check raises or clears the alert that the side rejects many, and switches on the customers that were switched off by it.
func (r *rejectionWatch) check(ctx context.Context) error {
	rejected, err := r.side.rejectedLately(ctx)
	if err != nil {
		return err
	}
	active, err := r.side.rejectsMany(ctx)
	if err != nil {
		return err
	}
	switch {
	case active && rejected < manyRejected:
		if err := r.clear(ctx); err != nil {
			return err
		}
	case !active && rejected < manyRejected:
		return nil
	case !active:
		asked, err := r.side.askedLately(ctx, int32(min(rejected, 1<<20))*minShare+1) //nolint:gosec // bounded
		if err != nil || asked > rejected*minShare {
			return err
		}
		if err := r.raise(ctx, rejected); err != nil {
			return err
		}
	}
	customers, err := r.side.rejectedBySide(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, customer := range customers {
		errs = append(errs, r.side.switchOn(ctx, customer, false))
	}
	return errors.Join(errs...)
}

func (r *rejectionWatch) raise(ctx context.Context, rejected int64) error {
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		begun, err := r.side.begin(ctx, tx)
		if err != nil || !begun {
			return err
		}
		r.logger.Warn(r.side.name+" rejects the "+r.side.credential+"s of many customers", zap.Int64("customers", rejected))
		return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, r.side.alert))
	})
}

func (r *rejectionWatch) clear(ctx context.Context) error {
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended, err := r.side.end(ctx, tx)
		if err != nil || !ended {
			return err
		}
		return event.Clear(ctx, tx, rollcallv1.Installation, r.side.alert, r.side.alertCleared)
	})
}

// tryRejected retries each rejected credential whose time has come, with one request.
func (r *rejectionWatch) tryRejected(ctx context.Context) error {
	customers, err := r.side.claimTries(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, customer := range customers {
		if err := r.try(ctx, customer); err != nil {
			errs = append(errs, fmt.Errorf("try the %s of %s: %w", r.side.credential, customer, err))
		}
	}
	return errors.Join(errs...)
}

func (r *rejectionWatch) try(ctx context.Context, customer string) error {
	bounded, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	isRejected, err := r.side.test(bounded, customer)
	switch {
	case err != nil:
		return err // no answer: the next try is in an hour
	case isRejected:
		r.logger.Info("rejected "+r.side.credential+" retried: "+r.side.name+" rejects it", zap.String("customer", customer))
		return nil
	}
	return r.side.switchOn(ctx, customer, true)
}
