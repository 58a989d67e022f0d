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
	// So many customers refused within a minute, and such a share of those that VOMO was asked for, are VOMO's fault.
	manyRefused     = 3
	oneInSo         = 5
	refusalsEvery   = time.Second
	tokenTriesEvery = 5 * time.Second
)

// refusals tells a token that VOMO refuses from a VOMO that refuses every token. Every replica looks; each change is one
// conditional statement, so that one of them makes it.
type refusals struct {
	*settler
}

// run looks until ctx ends. Tokens are tried beside that: a VOMO that hangs holds up no judgement.
func (r *refusals) run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.every(ctx, tokenTriesEvery, "switched-off tokens were not tried", r.tryTokens)
	}()
	r.every(ctx, refusalsEvery, "refused tokens were not looked at", r.look)
	<-done
}

func (r *refusals) every(ctx context.Context, interval time.Duration, complaint string, do func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			r.logger.Warn(complaint, zap.Error(err))
		}
	}
}

// look begins and ends the time in which VOMO refuses many at once, and switches on again the customers that were switched off by it.
func (r *refusals) look(ctx context.Context) error {
	refused, err := r.store.RefusedLately(ctx)
	if err != nil {
		return err
	}
	active, err := r.store.VomoRefusesMany(ctx)
	if err != nil {
		return err
	}
	switch {
	case active && refused < manyRefused:
		if err := r.end(ctx); err != nil {
			return err
		}
	case !active && refused < manyRefused:
		return nil
	case !active:
		asked, err := r.store.AskedLately(ctx, int32(min(refused, 1<<20))*oneInSo+1) //nolint:gosec // bounded
		if err != nil || asked > refused*oneInSo {
			return err
		}
		if err := r.begin(ctx, refused); err != nil {
			return err
		}
	}
	return r.switchOn(ctx)
}

func (r *refusals) begin(ctx context.Context, refused int64) error {
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		begun, err := tx.BeginRefusals(ctx)
		if err != nil || !begun {
			return err
		}
		r.logger.Warn("VOMO refuses the tokens of many customers at once", zap.Int64("customers", refused))
		return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, event.AlertVomoRefusesMany))
	})
}

func (r *refusals) end(ctx context.Context) error {
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended, err := tx.EndRefusals(ctx)
		if err != nil || !ended {
			return err
		}
		return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertVomoRefusesMany, "VOMO takes tokens again that it had refused.")
	})
}

// switchOn switches on the customers that were switched off before it was known that the refusal was VOMO's fault.
func (r *refusals) switchOn(ctx context.Context) error {
	customers, err := r.store.RefusedByVomo(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, customer := range customers {
		errs = append(errs, r.comeBack(ctx, customer, false))
	}
	return errors.Join(errs...)
}

// comeBack switches a customer on. Its runs, then its alert, then its row, as in every transaction of a job.
func (r *refusals) comeBack(ctx context.Context, customer string, works bool) error {
	return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		current, err := tx.Customer(ctx, customer)
		if err != nil || current.Enabled || current.DisabledReason != event.AlertAuthFailed || current.OffboardedAt != nil {
			return err // a new token came first, or it was offboarded
		}
		text := "The refusal was VOMO's fault: it refused the tokens of many customers at once."
		if works {
			text = "VOMO takes the token again."
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
		changed, err := tx.SwitchOn(ctx, customer, works)
		if changed {
			r.logger.Info("customer switched on again", zap.String("customer", customer), zap.String("why", text))
		}
		return err
	})
}

// unparkBackfill makes the customer's parked backfill due at once, if its window lets it.
func unparkBackfill(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	run, unparked, err := tx.UnparkRun(ctx, customer.ID)
	if err != nil || !unparked {
		return err
	}
	wait, err := putOff(ctx, tx, customer, run)
	if err != nil || wait.Needed() {
		return err
	}
	return publishRequest(ctx, tx, customer.ID, run)
}

// tryTokens tries each switched-off token whose time has come, with one request.
func (r *refusals) tryTokens(ctx context.Context) error {
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

func (r *refusals) tryToken(ctx context.Context, id string) error {
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
		return r.comeBack(ctx, id, true)
	case errors.Is(err, vomo.ErrUnauthorized), errors.Is(err, vomo.ErrForbidden):
		r.logger.Info("switched-off token tried: VOMO refuses it", zap.String("customer", id))
		return nil
	}
	return err // VOMO could not be asked: in an hour
}
