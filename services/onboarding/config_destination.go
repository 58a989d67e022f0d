package main

import (
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func (o *operators) openToken(ctx context.Context, asked report.ConfigChange, errs rollcallv1.FieldErrors) (string, error) {
	if asked.DestinationTokenSealed == "" {
		return "", nil
	}
	token, err := o.vault.OpenSealedToken(ctx, asked.DestinationTokenSealed)
	switch {
	case errors.Is(err, vault.ErrNotSealedToUs):
		errs.Add(fieldTokenSealed, "is not sealed to this installation's key: seal it to the key that `rollcall key` prints")
		return "", nil
	case err != nil:
		return "", fmt.Errorf("open sealed token: %w", err)
	case token == "" || len(token) > rollcallv1.MaxTokenBytes:
		errs.Add(fieldTokenSealed, "holds no token")
	}
	return token, nil
}

// changeToken keeps the old system's token from a new system.
func (o *operators) changeToken(ctx context.Context, tx *store.Tx, customer string, asked report.ConfigChange, token string) (changed bool, err error) {
	if token != "" {
		sealed, err := o.vault.Seal(ctx, customer, store.CredentialDestinationToken, []byte(token))
		if err != nil {
			return false, fmt.Errorf("seal destination token: %w", err)
		}
		return true, tx.SaveCredential(ctx, customer, store.CredentialDestinationToken, sealed)
	}
	if asked.DestinationChange != report.DestinationNewSystem {
		return false, nil
	}
	names, err := tx.CredentialNames(ctx, customer)
	if err != nil || !names[store.CredentialDestinationToken] {
		return false, err
	}
	return true, tx.SaveCredential(ctx, customer, store.CredentialDestinationToken, nil)
}

// mustSayWhich refuses a new address that may or may not be the system in which users stand.
func mustSayWhich(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	mirrored, err := tx.CountMappings(ctx, customer.ID)
	if err != nil || mirrored == 0 {
		return err
	}
	errs := rollcallv1.FieldErrors{}
	errs.Add(fieldDestinationChange, fmt.Sprintf(`is missing, and %d users stand at the old address: say "moved" (--moved) where it is the same `+
		`system under another address, or "new_system" (--new-system) where everybody has to be written again`, mirrored))
	return &service.FieldsError{Errors: errs}
}

// rewriteAll begins a run that writes everybody to the new system, in place of the one that is open. What an
// operator had paused begins paused.
func rewriteAll(ctx context.Context, tx *store.Tx, customer store.Customer) (int64, error) {
	open, err := tx.OpenRun(ctx, customer.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	if err == nil {
		if _, err := cancelRun(ctx, tx, open, "destination_replaced", "The destination was replaced."); err != nil {
			return 0, err
		}
	}
	if err := clearDestination(ctx, tx, customer.ID, "The destination was replaced."); err != nil {
		return 0, err
	}
	id, started, err := tx.StartRewrite(ctx, customer.ID, backfillJob(customer), event.NewTraceID(), true)
	if err != nil {
		return 0, err
	}
	if !started {
		return 0, fmt.Errorf("rewrite %s: another backfill was started meanwhile", customer.ID)
	}
	if err := event.Clear(ctx, tx, customer.ID, event.AlertBackfillFailed, "A new backfill was started."); err != nil {
		return 0, err
	}
	if open.State == store.RunPaused {
		_, err := tx.PauseRun(ctx, customer.ID)
		return id, err
	}
	return id, publishRequest(ctx, tx, customer.ID, id)
}

// wake has a parked run try the new address, or the new token, at once; 0 where none is parked.
func wake(ctx context.Context, tx *store.Tx, customer string) (int64, error) {
	run, unparked, err := tx.UnparkRun(ctx, customer) // the run before its conditions, as a worker's page does
	if err != nil {
		return 0, err
	}
	if err := clearDestination(ctx, tx, customer, "The destination was changed."); err != nil || !unparked {
		return 0, err
	}
	return run, publishRequest(ctx, tx, customer, run)
}
