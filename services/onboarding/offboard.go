package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// errorOffboarded is the error code of the jobs that an offboarding ends.
const errorOffboarded = "offboarded"

// offboard ends a customer's mirror. One transaction stops all work and destroys the credentials and the data key; the offboarder does
// the rest.
func (i *intake) offboard(ctx context.Context, delivery *worker.Delivery, origin store.Origin, customer string, act *store.Act) error {
	request := &rollcallv1.OffboardRequest{}
	errs := rollcallv1.Decode(delivery.Data, request)
	if len(errs) == 0 {
		errs = request.Validate(customer)
	}
	if len(errs) > 0 {
		return i.reject(ctx, origin, customer, errs, act)
	}
	queued, err := i.awaitCapture(ctx, delivery, customer)
	if err != nil {
		return err
	}
	var known bool
	err = i.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// The row makes a redelivery harmless: the customer may have been onboarded again since.
		id, added, err := tx.AddPendingRequest(ctx, origin, customer, store.BothSides(), nil, nil)
		if err != nil || !added {
			return err
		}
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		later, err := tx.RequestAppliedAfter(ctx, customer, origin)
		if err != nil {
			return err
		}
		if !later.None() {
			_, err := tx.SettleRequest(ctx, id, store.RequestSuperseded, nil)
			return err
		}
		if !request.GetForce() {
			if errs, err = unfinishedGiving(ctx, tx, customer, queued); err != nil || errs != nil {
				return errors.Join(err, errs.Err())
			}
		}
		if _, err := tx.SettleRequest(ctx, id, store.RequestApplied, nil); err != nil {
			return err
		}
		if err := tx.SupersedeOlderRequests(ctx, customer, store.BothSides(), origin); err != nil {
			return err
		}
		known, err = i.offboarder.begin(ctx, tx, customer, origin)
		return err
	})
	if len(errs) > 0 {
		return i.reject(ctx, origin, customer, errs, act)
	}
	if err != nil {
		return err
	}
	act.Result = json.RawMessage(`{"known":` + strconv.FormatBool(known) + `}`)
	i.logger.Info("offboarding begun", zap.String("customer", customer), zap.Bool("known", known))
	i.offboarder.wakeUp()
	return nil
}

// begin stops all work for a customer, and destroys its credentials and its data key. Requests that are newer than after stay. The caller
// has locked the customer.
func (o *offboarder) begin(ctx context.Context, tx *store.Tx, customer string, after store.Origin) (known bool, err error) {
	// The lane comes first and the runs come before the customer's row, as in a page's transaction; another order could deadlock.
	if err := tx.FenceLane(ctx, customer); err != nil {
		return false, err
	}
	if err := tx.FenceGivingLane(ctx, customer); err != nil {
		return false, err
	}
	if err := tx.CancelRuns(ctx, customer, errorOffboarded); err != nil {
		return false, err
	}
	before, err := tx.Customer(ctx, customer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	keys := o.vault.On(tx.Conn)
	subscriptions, err := subscriptionKeys(ctx, tx, keys, customer) // they are sealed with the key that is destroyed
	if err != nil {
		return false, err
	}
	if known, err = tx.OffboardCustomer(ctx, customer); err != nil {
		return false, err
	}
	if err := tx.OffboardGiving(ctx, customer); err != nil {
		return false, err
	}
	if err := o.destroyKey(ctx, tx, customer, after); err != nil {
		return false, err
	}
	// Those that stay at Virtuous are named after the customer's messages are purged.
	if _, err := removeSubscriptions(ctx, tx, keys, customer, subscriptions); err != nil {
		return false, err
	}
	if _, err := tx.ForgetOutbox(ctx, customer); err != nil {
		return false, err
	}
	offboarding, err := tx.BeginOffboarding(ctx, customer, o.retention, before.OffboardedAt != nil)
	if err != nil || offboarding.Step == store.OffboardingPurges {
		return known, err // the purge goes on, and leaves less than the other steps
	}
	if offboarding.JobID != 0 {
		if err := tx.FinishJob(ctx, offboarding.JobID, offboarding.Blanked, 0, "superseded"); err != nil {
			return false, err
		}
	}
	if offboarding.JobID, err = tx.StartJob(ctx, customer, jobOffboard, telemetry.TraceParent(ctx)); err != nil {
		return false, err
	}
	return known, tx.SaveOffboarding(ctx, offboarding, 0)
}

// destroyKey destroys the customer's data key. The secrets of newer requests, which are still to be settled, are sealed with a new one.
func (o *offboarder) destroyKey(ctx context.Context, tx *store.Tx, customer string, after store.Origin) error {
	newer, err := tx.PendingRequestsAfter(ctx, customer, after)
	if err != nil {
		return err
	}
	keys := o.vault.On(tx.Conn)
	for n, request := range newer {
		plain, err := keys.Open(ctx, customer, purposeSecrets, request.SealedSecrets)
		if err != nil && !errors.Is(err, vault.ErrKeyGone) && !errors.Is(err, vault.ErrForeign) {
			return fmt.Errorf("open secrets of request %d: %w", request.ID, err)
		}
		newer[n].SealedSecrets = plain
	}
	if err := tx.DestroyCustomerKey(ctx, customer); err != nil {
		return err
	}
	for _, request := range newer {
		if request.SealedSecrets == nil {
			continue // what cannot be opened stays as it is
		}
		if request.SealedSecrets, err = keys.Seal(ctx, customer, purposeSecrets, request.SealedSecrets); err != nil {
			return fmt.Errorf("seal secrets of request %d: %w", request.ID, err)
		}
		if err := tx.SealRequestAgain(ctx, request); err != nil {
			return err
		}
	}
	return nil
}
