package job

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/window"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Kind says what distinguishes the runs of one kind from those of others.
type Kind struct {
	Name string // runs.kind
	// Job returns the name of a customer's run in job_log; requests are counted under it, too.
	Job func(customer store.Customer) string
	// Serves reports whether runs of the customer are worked.
	Serves func(customer store.Customer) bool
	// Window returns when the customer's runs may be worked; nil: always.
	Window func(customer store.Customer) (window.Window, error)
	// Patience returns how long a run of the customer waits in its slot for the lane, before its message comes again
	// LaneTakenPause later; nil: it does not wait.
	Patience func(customer store.Customer) time.Duration
	Turn     time.Duration // how long a run keeps its slot before it queues behind the others; 0: a minute
	Tries    int           // how often a run is claimed without a committed page before it is given up; 0: 10
	// Routine means that runs come by the thousand: their log lines are at debug level if nothing was written.
	Routine bool
	// AsksFirst means that the work begins with a request to VOMO: its grant is taken together with the claim.
	AsksFirst bool
	// Start queues a run that an operator requested by publishing a message, if there is none; nil: such a message only wakes
	// the run that there is.
	Start func(ctx context.Context, tx *store.Tx, customer store.Customer) error
	// Message wakes a worker for a run.
	Message func(run store.RunRef) (store.Message, error)
	// Work does the run's work from its cursor on. It returns nil when the run is finished, the result of Execution.TurnOver if
	// it stopped at a committed page, and otherwise what stopped it.
	Work func(ctx context.Context, execution *Execution) error
	// OnGiveUp adds to the transaction that ends a run that no further attempt can mend; nil: nothing.
	OnGiveUp func(ctx context.Context, tx *store.Tx, run store.Run, cause error) error
	// LetterOnGiveUp makes the message of a run that is given up a dead letter.
	LetterOnGiveUp bool
}

const (
	defaultTurn  = time.Minute
	defaultTries = 10
)

// Always is the Job of a kind whose runs all have one name in job_log.
func Always(job string) func(store.Customer) string {
	return func(store.Customer) string { return job }
}

// verb is the name in operator_audit of a request for a run that an operator published.
func (k Kind) verb() string {
	switch k.Name {
	case store.KindBackfill, store.KindPoll:
		return k.Name + ".request"
	}
	return "reconcile." + k.Name
}

// BackfillMessage wakes a worker for a backfill. Its id is new each time: the stream would take a repeated one for a
// duplicate and drop it, although it no longer has the first.
func BackfillMessage(run store.RunRef) (store.Message, error) {
	payload, err := rollcallv1.Encode(&rollcallv1.BackfillRequest{CustomerId: run.Customer, RunId: run.ID})
	if err != nil {
		return store.Message{}, err
	}
	return store.Message{
		Subject: bus.SubjectBackfill(run.Customer), ID: "backfill-" + uuid.NewString(), Headers: telemetry.HeaderOf(run.Trace), Payload: payload,
	}, nil
}

// PollMessage wakes a worker for a poll, with a new id as BackfillMessage.
func PollMessage(run store.RunRef) (store.Message, error) {
	payload, err := rollcallv1.Encode(&rollcallv1.PollRequest{CustomerId: run.Customer, RunId: run.ID})
	if err != nil {
		return store.Message{}, err
	}
	return store.Message{Subject: bus.SubjectPoll(run.Customer), ID: "poll-" + uuid.NewString(), Headers: telemetry.HeaderOf(run.Trace), Payload: payload}, nil
}

// ReconcileMessage wakes a worker for a run of a kind that the reconciler works, with a new id as BackfillMessage. The name of the
// kind is the category in the subject.
func ReconcileMessage(run store.RunRef) (store.Message, error) {
	payload, err := rollcallv1.Encode(&rollcallv1.ReconcileRequest{CustomerId: run.Customer, RunId: run.ID})
	if err != nil {
		return store.Message{}, err
	}
	return store.Message{
		Subject: bus.SubjectReconcile(run.Kind, run.Customer), ID: "reconcile-" + uuid.NewString(), Headers: telemetry.HeaderOf(run.Trace), Payload: payload,
	}, nil
}

// Request owes the bus a request for each of these runs of the kind.
func (k Kind) Request(ctx context.Context, tx *store.Tx, runs []store.RunRef) error {
	messages := make([]store.Message, 0, len(runs))
	for _, run := range runs {
		message, err := k.Message(run)
		if err != nil {
			return err
		}
		messages = append(messages, message)
	}
	return tx.Publish(ctx, messages...)
}

// Unpark makes the customer's parked polls and reconciliations due at once, and owes the bus a request for each.
func Unpark(ctx context.Context, tx *store.Tx, customer string) error {
	unparked, err := tx.UnparkRuns(ctx, customer, store.ScheduledKinds()...)
	if err != nil {
		return err
	}
	return requestScheduled(ctx, tx, unparked)
}

// Requeue makes all of the customer's unfinished polls and reconciliations due at once, whichever workers had them, and owes
// the bus a request for each: for a customer whose lane was fenced and who is resumed.
func Requeue(ctx context.Context, tx *store.Tx, customer string) error {
	requeued, err := tx.RequeueRuns(ctx, customer, store.ScheduledKinds()...)
	if err != nil {
		return err
	}
	return requestScheduled(ctx, tx, requeued)
}

func requestScheduled(ctx context.Context, tx *store.Tx, runs []store.RunRef) error {
	for _, run := range runs {
		message := ReconcileMessage
		if run.Kind == store.KindPoll {
			message = PollMessage
		}
		if err := (Kind{Message: message}).Request(ctx, tx, []store.RunRef{run}); err != nil {
			return err
		}
	}
	return nil
}
