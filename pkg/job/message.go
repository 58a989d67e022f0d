package job

import (
	"context"

	"github.com/google/uuid"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// PollMessage wakes a worker for a poll. Its id is new each time: the stream would take a repeated one for a duplicate
// and drop it, looking as if it had it.
func PollMessage(run store.RunRef) (store.Message, error) {
	payload, err := rollcallv1.Encode(&rollcallv1.PollRequest{CustomerId: run.Customer, RunId: run.ID})
	if err != nil {
		return store.Message{}, err
	}
	return store.Message{Subject: bus.SubjectPoll(run.Customer), ID: "poll-" + uuid.NewString(), Payload: payload}, nil
}

// UserDailyMessage wakes a worker for a daily reconciliation, as PollMessage.
func UserDailyMessage(run store.RunRef) (store.Message, error) {
	payload, err := rollcallv1.Encode(&rollcallv1.ReconcileRequest{CustomerId: run.Customer, RunId: run.ID})
	if err != nil {
		return store.Message{}, err
	}
	return store.Message{Subject: bus.SubjectReconcile(bus.CategoryUserDaily, run.Customer), ID: "reconcile-" + uuid.NewString(), Payload: payload}, nil
}

// Unpark makes the customer's parked runs due at once, of whatever kind, and owes the bus a request for each.
func Unpark(ctx context.Context, tx *store.Tx, customer string) error {
	unparked, err := tx.UnparkSyncRuns(ctx, customer)
	if err != nil {
		return err
	}
	return requestAll(ctx, tx, customer, unparked)
}

// Requeue makes all of the customer's unfinished runs due at once, also those that somebody worked, and owes the bus a
// request for each: for a customer whose lane was fenced, and who goes on.
func Requeue(ctx context.Context, tx *store.Tx, customer string) error {
	requeued, err := tx.RequeueSyncRuns(ctx, customer)
	if err != nil {
		return err
	}
	return requestAll(ctx, tx, customer, requeued)
}

func requestAll(ctx context.Context, tx *store.Tx, customer string, runs []store.Unparked) error {
	for _, run := range runs {
		message := PollMessage
		if run.Kind == store.KindUserDaily {
			message = UserDailyMessage
		}
		request, err := message(store.RunRef{ID: run.ID, Customer: customer})
		if err != nil {
			return err
		}
		if err := tx.Publish(ctx, request); err != nil {
			return err
		}
	}
	return nil
}
