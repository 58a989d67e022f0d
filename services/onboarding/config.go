package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// laneTimeout is how long a change of the destination waits for the running job. It is below the timeout of an API request.
const laneTimeout = 7 * time.Second

// Names of settings in the onboarding message.
const (
	fieldURL               = "externalSystemUrl"
	fieldDestinationChange = "destinationChange"
	fieldDestinationToken  = "destination.token"
	fieldTokenSealed       = "destinationTokenSealed"
	fieldCadence           = "pollCadenceMinutes"
)

// setConfig answers rollcall.api.config.set. It applies all of the change or nothing.
func (o *operators) setConfig(ctx context.Context, asked operatorapi.ConfigChange) (operatorapi.ConfigChanged, error) {
	if err := checkCustomerID(asked.CustomerID); err != nil {
		return operatorapi.ConfigChanged{}, err
	}
	customer, err := o.store.Customer(ctx, asked.CustomerID)
	if err != nil {
		return operatorapi.ConfigChanged{}, err
	}
	errs := o.validate(customer, asked)
	token, err := openSealed(ctx, o.vault, asked.DestinationTokenSealed, fieldTokenSealed, errs)
	if err != nil {
		return operatorapi.ConfigChanged{}, err
	}
	var secret string
	if asked.Virtuous != nil {
		if secret, err = openSealed(ctx, o.vault, asked.Virtuous.WebhookSecretSealed, fieldWebhookSecret, errs); err != nil {
			return operatorapi.ConfigChanged{}, err
		}
	}
	if len(errs) > 0 {
		return operatorapi.ConfigChanged{}, &service.FieldsError{Errors: errs}
	}
	var done operatorapi.ConfigChanged
	change := func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		return o.applyChange(ctx, tx, customer, asked, changedSecrets{destination: token, webhook: secret}, &done)
	}
	if asked.ExternalSystemURL == nil && asked.DestinationChange == "" && !changesRecords(asked) {
		err = o.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return onCustomer(ctx, tx, customer.ID, change) })
	} else {
		err = o.inLane(ctx, customer.ID, change)
	}
	if err != nil {
		return operatorapi.ConfigChanged{}, err
	}
	o.logger.Info("operator's command done", zap.String("customer", customer.ID), zap.String("verb", "config set"),
		zap.Strings("fields", fieldsOf(done.Changes)), zap.String("destination_change", asked.DestinationChange))
	return done, nil
}

// changesRecords reports whether the change may alter which fields of a user rollcall writes.
func changesRecords(asked operatorapi.ConfigChange) bool {
	return asked.WriteBack != nil || slices.Contains(asked.Unset, operatorapi.FieldWriteBack) || asked.DestinationParticipations != nil
}

// inLane changes the destination, or the fields that it gets, while no job writes to it. A running job finishes its page and releases
// the lane, and the next holder of the lane reads the new settings. If the job keeps the lane, the change fails.
func (o *operators) inLane(ctx context.Context, customer string, change func(ctx context.Context, tx *store.Tx, customer store.Customer) error) error {
	lease, err := o.store.AwaitLease(ctx, customer, o.holder, o.leaseFor, o.patience)
	if errors.Is(err, store.ErrLaneTaken) {
		return &service.BusyError{Text: "a job that writes to the destination did not let go; nothing was changed: try again in a moment"}
	}
	if err != nil {
		return err
	}
	err = o.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return onCustomer(ctx, tx, customer, func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
			// The lane comes after the customer's lock, in the same order as in offboarding.
			if err := tx.AssertLane(ctx, lease); err != nil {
				return err
			}
			return change(ctx, tx, customer)
		})
	})
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if rerr := lease.Release(releasing); rerr != nil {
		o.logger.Warn("lease not released; it will expire", zap.String("customer", customer), zap.Error(rerr))
	}
	return err
}

const releaseTimeout = 5 * time.Second

// changedSecrets are the secrets that a change has, opened; "" for none.
type changedSecrets struct{ destination, webhook string }

// applyChange writes the change and its consequences.
func (o *operators) applyChange(ctx context.Context, tx *store.Tx, customer store.Customer, asked operatorapi.ConfigChange, secrets changedSecrets,
	done *operatorapi.ConfigChanged,
) error {
	if customer.OffboardedAt != nil || (!customer.Enabled && changesMirror(asked)) {
		return errSwitchedOff(customer)
	}
	next, changes, err := planned(customer, asked)
	if err != nil {
		return err
	}
	moves := next.ExternalSystemURL != customer.ExternalSystemURL
	if moves && asked.DestinationChange == "" {
		if err := requireDestinationChange(ctx, tx, customer); err != nil {
			return err
		}
	}
	tokenChanged, err := o.changeToken(ctx, tx, customer.ID, asked, secrets.destination)
	if err != nil {
		return err
	}
	if tokenChanged {
		changes = append(changes, operatorapi.Change{Field: fieldDestinationToken})
	}
	var run int64
	switch {
	case asked.DestinationChange == operatorapi.DestinationNewSystem:
		if run, err = rewriteAll(ctx, tx, next); err != nil {
			return err
		}
	case moves || tokenChanged:
		if run, err = wake(ctx, tx, customer.ID); err != nil {
			return err
		}
	}
	// The customer's row comes after the run and its alerts, as in the transaction of a last page.
	if err := tx.ChangeCustomer(ctx, next); err != nil {
		return err
	}
	givingChanges, err := o.changeGiving(ctx, tx, customer.ID, asked, secrets.webhook)
	if err != nil {
		return err
	}
	changes = append(changes, givingChanges...)
	if err := publishConfigChanged(ctx, tx, customer.ID, changes, asked.DestinationChange); err != nil {
		return err
	}
	done.CustomerID, done.Changes = customer.ID, changes
	if done.Config, err = report.ConfigOf(ctx, tx.Conn, customer.ID); err != nil || run == 0 {
		return err
	}
	stands, err := tx.Backfill(ctx, run)
	shown := report.BackfillOf(stands)
	done.Backfill = &shown
	return err
}

func publishConfigChanged(ctx context.Context, tx *store.Tx, customer string, changes []operatorapi.Change, destinationChange string) error {
	if len(changes) == 0 && destinationChange == "" {
		return nil
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	return publishFact(ctx, tx, event.Fact{
		Name: event.ConfigChanged, Customer: customer, ID: event.ConfigChanged + "-" + customer + "-" + strconv.FormatInt(now.UnixMicro(), 10),
		Data: &rollcallv1.ConfigChanged{
			CustomerId: customer, Fields: fieldsOf(changes), DestinationChange: destinationChange, ChangedAt: timestamppb.New(now),
		},
	})
}

func fieldsOf(changes []operatorapi.Change) []string {
	fields := make([]string, 0, len(changes))
	for _, change := range changes {
		fields = append(fields, change.Field)
	}
	return fields
}
