package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	// If VOMO rejects the tokens of at least manyRejected customers within a minute, and of one in minShare of the customers with
	// requests, it is VOMO's fault.
	manyRejected    = 3
	minShare        = 5
	rejectionsEvery = time.Second
	tokenRetryEvery = 5 * time.Second
)

// rejectionWatch distinguishes a rejected token from a VOMO that rejects all tokens. Every replica runs it. Each change is one
// conditional statement, so only one replica makes it.
type rejectionWatch struct {
	*settler
}

// run checks until ctx ends. Tokens are retried in parallel, so that a silent VOMO does not delay the checks.
func (r *rejectionWatch) run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.runEvery(ctx, tokenRetryEvery, "retry of tokens of switched-off customers failed", r.tryTokens)
	}()
	r.runEvery(ctx, rejectionsEvery, "check of rejected tokens failed; it will be retried", r.check)
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
			r.logger.Warn(failure, zap.Error(err))
		}
	}
}

// check raises or clears the alert that VOMO rejects many tokens, and switches on the customers that were switched off by it.
func (r *rejectionWatch) check(ctx context.Context) error {
	rejected, err := r.store.RefusedLately(ctx)
	if err != nil {
		return err
	}
	active, err := r.store.VomoRefusesMany(ctx)
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
		asked, err := r.store.AskedLately(ctx, int32(min(rejected, 1<<20))*minShare+1) //nolint:gosec // bounded
		if err != nil || asked > rejected*minShare {
			return err
		}
		if err := r.raise(ctx, rejected); err != nil {
			return err
		}
	}
	return r.switchOn(ctx)
}

func (r *rejectionWatch) raise(ctx context.Context, rejected int64) error {
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		begun, err := tx.BeginRefusals(ctx)
		if err != nil || !begun {
			return err
		}
		r.logger.Warn("VOMO rejects the tokens of many customers", zap.Int64("customers", rejected))
		return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, event.AlertVomoRefusesMany))
	})
}

func (r *rejectionWatch) clear(ctx context.Context) error {
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended, err := tx.EndRefusals(ctx)
		if err != nil || !ended {
			return err
		}
		return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertVomoRefusesMany, "VOMO accepts tokens again that it had rejected.")
	})
}

// switchOn switches on the customers that were switched off before rollcall knew that the rejection was VOMO's fault.
func (r *rejectionWatch) switchOn(ctx context.Context) error {
	customers, err := r.store.RefusedByVomo(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, customer := range customers {
		errs = append(errs, r.switchCustomerOn(ctx, customer, false))
	}
	return errors.Join(errs...)
}

// switchCustomerOn switches a customer on. The order is runs, alert, the customer's row, as in every transaction of a job.
func (r *rejectionWatch) switchCustomerOn(ctx context.Context, customer string, isAccepted bool) error {
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		current, err := tx.Customer(ctx, customer)
		if err != nil || current.Enabled || current.DisabledReason != event.AlertAuthFailed || current.OffboardedAt != nil {
			return err // a new token came first, or the customer was offboarded
		}
		text := "The rejection was VOMO's fault: it rejected the tokens of many customers at once."
		if isAccepted {
			text = "VOMO accepts the token again."
			if err := job.Unpark(ctx, tx, customer); err != nil {
				return err
			}
			if err := unparkBackfill(ctx, tx, current); err != nil {
				return err
			}
		} else if err := tx.BlameVomo(ctx, customer, job.RefusedMany); err != nil {
			return err
		}
		if err := event.Clear(ctx, tx, customer, event.AlertAuthFailed, text); err != nil {
			return err
		}
		changed, err := tx.SwitchOn(ctx, customer, isAccepted)
		if changed {
			r.logger.Info("customer switched on again", zap.String("customer", customer), zap.String("why", text))
		}
		return err
	})
}

// unparkBackfill makes the customer's parked backfill due at once, unless its window is closed.
func unparkBackfill(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	unparked, err := tx.UnparkRuns(ctx, customer.ID, store.KindBackfill)
	if err != nil || len(unparked) == 0 {
		return err
	}
	wait, err := putOff(ctx, tx, customer)
	if err != nil || wait.Needed() {
		return err
	}
	return publishRequest(ctx, tx, customer.ID, unparked[0].ID)
}

// tryTokens retries each token of a switched-off customer whose time has come, with one request.
func (r *rejectionWatch) tryTokens(ctx context.Context) error {
	customers, err := r.store.ClaimTokenTries(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, customer := range customers {
		if err := r.tryToken(ctx, customer); err != nil {
			errs = append(errs, fmt.Errorf("try the token of %s: %w", customer, err))
		}
	}
	return errors.Join(errs...)
}

func (r *rejectionWatch) tryToken(ctx context.Context, id string) error {
	customer, err := r.store.Customer(ctx, id)
	if err != nil {
		return err
	}
	sealed, err := r.store.Credential(ctx, id, store.CredentialVomoToken)
	if err != nil {
		return err
	}
	token, err := r.vault.Open(ctx, id, store.CredentialVomoToken, sealed)
	if err != nil {
		return fmt.Errorf("open the token: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_, err = r.testToken(bounded, id, string(token), r.limits.With(customer.RequestsPerSecond, customer.RequestsPerMinute))
	switch {
	case err == nil:
		return r.switchCustomerOn(ctx, id, true)
	case errors.Is(err, vomo.ErrUnauthorized), errors.Is(err, vomo.ErrForbidden):
		r.logger.Info("token of a switched-off customer retried: VOMO rejects it", zap.String("customer", id))
		return nil
	}
	return err // VOMO did not answer: the next try is in an hour
}
