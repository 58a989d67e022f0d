package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// keyRejectionWatch distinguishes a rejected key of Virtuous from a Virtuous that rejects all keys, by the rule of rejectionWatch. Every
// replica runs it.
type keyRejectionWatch struct {
	*rejectionWatch
}

// run checks until ctx ends. Keys are retried in parallel, so that a silent Virtuous does not delay the checks.
func (k *keyRejectionWatch) run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.runEvery(ctx, tokenRetryEvery, "retry of rejected keys failed", k.tryKeys)
	}()
	k.runEvery(ctx, rejectionsEvery, "check of rejected keys failed; it will be retried", k.check)
	<-done
}

// check raises or clears the alert that Virtuous rejects many keys, and enables giving that was switched off by it.
func (k *keyRejectionWatch) check(ctx context.Context) error {
	rejected, err := k.store.KeysRefusedLately(ctx)
	if err != nil {
		return err
	}
	active, err := k.store.VirtuousRefusesMany(ctx)
	if err != nil {
		return err
	}
	switch {
	case active && rejected < manyRejected:
		if err := k.end(ctx); err != nil {
			return err
		}
	case !active && rejected < manyRejected:
		return nil
	case !active:
		asked, err := k.store.KeysAskedLately(ctx, int32(min(rejected, 1<<20))*minShare+1) //nolint:gosec // bounded
		if err != nil || asked > rejected*minShare {
			return err
		}
		if err := k.begin(ctx, rejected); err != nil {
			return err
		}
	}
	return k.switchGivingOn(ctx)
}

func (k *keyRejectionWatch) begin(ctx context.Context, rejected int64) error {
	return k.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		begun, err := tx.BeginKeyRefusals(ctx)
		if err != nil || !begun {
			return err
		}
		k.logger.Warn("Virtuous rejects the keys of many customers", zap.Int64("customers", rejected))
		return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, event.AlertVirtuousRefusesMany))
	})
}

func (k *keyRejectionWatch) end(ctx context.Context) error {
	return k.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended, err := tx.EndKeyRefusals(ctx)
		if err != nil || !ended {
			return err
		}
		return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertVirtuousRefusesMany, "Virtuous accepts keys again that it had rejected.")
	})
}

// switchGivingOn enables giving of the customers for which it was switched off before rollcall knew whose fault the rejection was.
func (k *keyRejectionWatch) switchGivingOn(ctx context.Context) error {
	customers, err := k.store.KeysRefusedByVirtuous(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, customer := range customers {
		errs = append(errs, k.enable(ctx, customer, false))
	}
	return errors.Join(errs...)
}

// enable enables a customer's giving that was switched off for its key.
func (k *keyRejectionWatch) enable(ctx context.Context, customer string, isAccepted bool) error {
	return k.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		config, err := tx.VirtuousConfig(ctx, customer)
		if err != nil || config.DisabledReason != store.GivingAuthFailed {
			return err // a new key came first, or giving was removed
		}
		text := "The rejection was the fault of Virtuous: it rejected the keys of many customers at once."
		if isAccepted {
			text = "Virtuous accepts the key again."
		}
		if err := event.Clear(ctx, tx, customer, event.AlertVirtuousAuthFailed, text); err != nil {
			return err
		}
		changed, err := tx.SwitchGivingOn(ctx, customer, isAccepted)
		if changed {
			k.logger.Info("giving switched on again", zap.String("customer", customer), zap.String("why", text))
		}
		return err
	})
}

// tryKeys retries each rejected key whose time has come, with one request.
func (k *keyRejectionWatch) tryKeys(ctx context.Context) error {
	customers, err := k.store.ClaimKeyTries(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, customer := range customers {
		if err := k.tryKey(ctx, customer); err != nil {
			errs = append(errs, fmt.Errorf("try the key of %s: %w", customer, err))
		}
	}
	return errors.Join(errs...)
}

func (k *keyRejectionWatch) tryKey(ctx context.Context, customer string) error {
	sealed, err := k.store.Credential(ctx, customer, store.CredentialVirtuousToken)
	if err != nil {
		return err
	}
	key, err := k.vault.Open(ctx, customer, store.CredentialVirtuousToken, sealed)
	if err != nil {
		return fmt.Errorf("open the key: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_, err = k.testKey(bounded, customer, string(key))
	switch {
	case err == nil:
		return k.enable(ctx, customer, true)
	case errors.Is(err, virtuous.ErrUnauthorized), errors.Is(err, virtuous.ErrForbidden):
		k.logger.Info("rejected key retried: Virtuous rejects it", zap.String("customer", customer))
		return nil
	}
	return err // Virtuous did not answer: the next try is in an hour
}
