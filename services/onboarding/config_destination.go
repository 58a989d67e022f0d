package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// changeToken stores the destination's new token, and deletes the old token if the destination is a new system.
func (o *operators) changeToken(ctx context.Context, tx *store.Tx, customer string, asked operatorapi.ConfigChange, token string) (changed bool, err error) {
	if token != "" {
		sealed, err := o.vault.Seal(ctx, customer, store.CredentialDestinationToken, []byte(token))
		if err != nil {
			return false, fmt.Errorf("seal destination token: %w", err)
		}
		return true, tx.SaveCredential(ctx, customer, store.CredentialDestinationToken, sealed)
	}
	if asked.DestinationChange != operatorapi.DestinationNewSystem {
		return false, nil
	}
	names, err := tx.CredentialNames(ctx, customer)
	if err != nil || !slices.Contains(names, store.CredentialDestinationToken) {
		return false, err
	}
	return true, tx.SaveCredential(ctx, customer, store.CredentialDestinationToken, nil)
}

// requireDestinationChange rejects a new address if the request does not say whether it is the same system.
func requireDestinationChange(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	mirrored, err := tx.CountMappings(ctx, customer.ID)
	if err != nil || mirrored == 0 {
		return err
	}
	errs := rollcallv1.FieldErrors{}
	errs.Add(fieldDestinationChange, fmt.Sprintf(`is missing, and %d users are at the old address: say "moved" (--moved) if it is the same `+
		`system under another address, or "new_system" (--new-system) if all users must be written again`, mirrored))
	return &service.FieldsError{Errors: errs}
}

// rewriteAll replaces the open run by one that writes all users to the new system. If an operator had paused the open run, the
// new one starts paused.
func rewriteAll(ctx context.Context, tx *store.Tx, customer store.Customer) (int64, error) {
	open, err := tx.OpenRun(ctx, customer.ID, store.KindBackfill)
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
	id, started, err := tx.StartRewrite(ctx, customer.ID, backfillJob(customer), telemetry.TraceParent(ctx), true)
	if err != nil {
		return 0, err
	}
	if !started {
		return 0, fmt.Errorf("rewrite %s: another backfill was started at the same time", customer.ID)
	}
	if err := event.Clear(ctx, tx, customer.ID, event.AlertBackfillFailed, "A new backfill was started."); err != nil {
		return 0, err
	}
	if open.State == store.RunPaused {
		_, err := tx.PauseBackfill(ctx, customer.ID)
		return id, err
	}
	return id, publishRequest(ctx, tx, backfillOf(customer.ID, id))
}

// wake makes a parked run due at once, to try the new address or token. It returns 0 if no run is parked.
func wake(ctx context.Context, tx *store.Tx, customer string) (int64, error) {
	unparked, err := tx.UnparkRuns(ctx, customer, store.KindBackfill) // the run comes before its alerts, as in a page's transaction
	if err != nil {
		return 0, err
	}
	if err := clearDestination(ctx, tx, customer, "The destination was changed."); err != nil || len(unparked) == 0 {
		return 0, err
	}
	return unparked[0].ID, publishRequest(ctx, tx, unparked[0])
}
