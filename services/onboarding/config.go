package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// lanePatience is how long a change of the destination waits for the job that writes there; below the time of an answer.
const lanePatience = 7 * time.Second

// Names of settings, as the onboarding message has them.
const (
	fieldURL               = "externalSystemUrl"
	fieldDestinationChange = "destinationChange"
	fieldDestinationToken  = "destination.token"
	fieldTokenSealed       = "destinationTokenSealed"
	fieldCadence           = "pollCadenceMinutes"
)

// setConfig answers rollcall.api.config.set: all of the change, or none.
func (o *operators) setConfig(ctx context.Context, asked report.ConfigChange) (report.ConfigChanged, error) {
	if err := readable(asked.CustomerID); err != nil {
		return report.ConfigChanged{}, err
	}
	customer, err := o.store.Customer(ctx, asked.CustomerID)
	if err != nil {
		return report.ConfigChanged{}, err
	}
	errs := o.validate(customer, asked)
	token, err := o.openToken(ctx, asked, errs)
	if err != nil {
		return report.ConfigChanged{}, err
	}
	if len(errs) > 0 {
		return report.ConfigChanged{}, &service.FieldsError{Errors: errs}
	}
	var done report.ConfigChanged
	change := func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
		return o.applyChange(ctx, tx, customer, asked, token, &done)
	}
	if asked.ExternalSystemURL == nil && asked.DestinationChange == "" {
		err = o.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return onCustomer(ctx, tx, customer.ID, change) })
	} else {
		err = o.inLane(ctx, customer.ID, change)
	}
	if err != nil {
		return report.ConfigChanged{}, err
	}
	o.logger.Info("done for an operator", zap.String("customer", customer.ID), zap.String("verb", "config set"),
		zap.Strings("fields", fieldsOf(done.Changes)), zap.String("destination_change", asked.DestinationChange))
	return done, nil
}

// inLane changes the destination while no job writes there: a job in mid-page finishes the page and lets go, and
// the next holder of the lane reads the new address. A job that does not let go keeps the change out.
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
			// After the customer's lock, in the order in which offboarding takes the two.
			if err := tx.AssertLane(ctx, lease); err != nil {
				return err
			}
			return change(ctx, tx, customer)
		})
	})
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if rerr := lease.Release(releasing); rerr != nil {
		o.logger.Warn("lease not released; it runs out by itself", zap.String("customer", customer), zap.Error(rerr))
	}
	return err
}

const releaseTimeout = 5 * time.Second

// applyChange writes the change with what follows from it.
func (o *operators) applyChange(ctx context.Context, tx *store.Tx, customer store.Customer, asked report.ConfigChange, token string,
	done *report.ConfigChanged,
) error {
	if customer.OffboardedAt != nil || !customer.Enabled {
		return switchedOff(customer)
	}
	next, changes, err := planned(customer, asked)
	if err != nil {
		return err
	}
	moves := next.ExternalSystemURL != customer.ExternalSystemURL
	if moves && asked.DestinationChange == "" {
		if err := mustSayWhich(ctx, tx, customer); err != nil {
			return err
		}
	}
	tokenChanged, err := o.changeToken(ctx, tx, customer.ID, asked, token)
	if err != nil {
		return err
	}
	if tokenChanged {
		changes = append(changes, report.Change{Field: fieldDestinationToken})
	}
	var run int64
	switch {
	case asked.DestinationChange == report.DestinationNewSystem:
		if run, err = rewriteAll(ctx, tx, next); err != nil {
			return err
		}
	case moves || tokenChanged:
		if run, err = wake(ctx, tx, customer.ID); err != nil {
			return err
		}
	}
	// After the run and its conditions, as in the transaction of a last page.
	if err := tx.ChangeCustomer(ctx, next); err != nil {
		return err
	}
	if err := tellChanged(ctx, tx, customer.ID, changes, asked.DestinationChange); err != nil {
		return err
	}
	done.CustomerID, done.Changes = customer.ID, changes
	if done.Config, err = report.ConfigOf(ctx, tx.Conn, customer.ID); err != nil || run == 0 {
		return err
	}
	stands, err := tx.Run(ctx, run)
	shown := report.BackfillOf(stands)
	done.Backfill = &shown
	return err
}

func tellChanged(ctx context.Context, tx *store.Tx, customer string, changes []report.Change, destinationChange string) error {
	if len(changes) == 0 && destinationChange == "" {
		return nil
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	return tell(ctx, tx, event.Fact{
		Name: event.ConfigChanged, Customer: customer, ID: event.ConfigChanged + "-" + customer + "-" + strconv.FormatInt(now.UnixMicro(), 10),
		Data: &rollcallv1.ConfigChanged{
			CustomerId: customer, Fields: fieldsOf(changes), DestinationChange: destinationChange, ChangedAt: timestamppb.New(now),
		},
	})
}

func fieldsOf(changes []report.Change) []string {
	fields := make([]string, 0, len(changes))
	for _, change := range changes {
		fields = append(fields, change.Field)
	}
	return fields
}
