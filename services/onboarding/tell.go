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

// factID is the same each time the same message's fate is published.
func factID(name string, origin store.Origin) string {
	return name + "-" + strconv.FormatInt(origin.StreamCreated.UnixMicro(), 10) + "-" + strconv.FormatUint(origin.Sequence, 10)
}

func tellRejected(ctx context.Context, tx *store.Tx, origin store.Origin, customer string, errs rollcallv1.FieldErrors) error {
	return tell(ctx, tx, event.Fact{
		Name: event.OnboardingRejected, Customer: customer, ID: factID(event.OnboardingRejected, origin),
		Data: &rollcallv1.OnboardingRejected{Errors: errs.ListValues(), CustomerId: customer, StreamSequence: origin.Sequence},
	})
}

func tellDelayed(ctx context.Context, tx *store.Tx, pending store.PendingRequest, reason string, wait time.Duration) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	return tell(ctx, tx, event.Fact{
		Name: event.OnboardingDelayed, Customer: pending.Customer, ID: factID(event.OnboardingDelayed, pending.Origin),
		Data: &rollcallv1.OnboardingDelayed{CustomerId: pending.Customer, Reason: reason, NextAttemptAt: timestamppb.New(now.Add(wait))},
	})
}

func tellCompleted(ctx context.Context, tx *store.Tx, origin store.Origin, onboardedAt time.Time, completed *rollcallv1.OnboardingCompleted) error {
	completed.OnboardedAt = timestamppb.New(onboardedAt)
	return tell(ctx, tx, event.Fact{
		Name: event.OnboardingCompleted, Customer: completed.GetCustomerId(), ID: factID(event.OnboardingCompleted, origin), Data: completed,
	})
}

// tell puts a fact into the outbox of the transaction that made it one.
func tell(ctx context.Context, tx *store.Tx, fact event.Fact) error {
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

// clearAll tells that whatever stands of a customer is over, in the order of the types, as jobs clear them.
func clearAll(ctx context.Context, tx *store.Tx, customer, text string) error {
	alerts, err := tx.StandingAlerts(ctx, customer)
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
