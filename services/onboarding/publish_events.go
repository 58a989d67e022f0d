package main

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// factID returns the same id each time the same message's outcome is published.
func factID(name string, origin store.Origin) string {
	return name + "-" + strconv.FormatInt(origin.StreamCreated.UnixMicro(), 10) + "-" + strconv.FormatUint(origin.Sequence, 10)
}

func publishRejected(ctx context.Context, tx *store.Tx, origin store.Origin, customer string, errs rollcallv1.FieldErrors) error {
	return publishFact(ctx, tx, event.Fact{
		Name: event.OnboardingRejected, Customer: customer, ID: factID(event.OnboardingRejected, origin),
		Data: &rollcallv1.OnboardingRejected{Errors: errs.ListValues(), CustomerId: customer, StreamSequence: origin.Sequence},
	})
}

func publishDelayed(ctx context.Context, tx *store.Tx, pending store.PendingRequest, reason string, wait time.Duration) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	return publishFact(ctx, tx, event.Fact{
		Name: event.OnboardingDelayed, Customer: pending.Customer, ID: factID(event.OnboardingDelayed, pending.Origin),
		Data: &rollcallv1.OnboardingDelayed{CustomerId: pending.Customer, Reason: reason, NextAttemptAt: timestamppb.New(now.Add(wait))},
	})
}

func publishCompleted(ctx context.Context, tx *store.Tx, origin store.Origin, onboardedAt time.Time, completed *rollcallv1.OnboardingCompleted) error {
	completed.OnboardedAt = timestamppb.New(onboardedAt)
	return publishFact(ctx, tx, event.Fact{
		Name: event.OnboardingCompleted, Customer: completed.GetCustomerId(), ID: factID(event.OnboardingCompleted, origin), Data: completed,
	})
}

// publishFact puts an event into the outbox, in the transaction that it reports.
func publishFact(ctx context.Context, tx *store.Tx, fact event.Fact) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	fact.At = now
	message, err := fact.Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

// clearAll clears all active alerts of a customer, in the order of their types, as jobs do.
func clearAll(ctx context.Context, tx *store.Tx, customer, text string) error {
	alerts, err := tx.ActiveAlerts(ctx, customer)
	if err != nil {
		return err
	}
	for _, alert := range alerts {
		if err := event.Clear(ctx, tx, customer, alert.Type, text); err != nil {
			return err
		}
	}
	return nil
}
