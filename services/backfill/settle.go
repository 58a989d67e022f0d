package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const laneLostPause = time.Second

// settle turns the outcome of a turn into the run's next state and the message's outcome. Nothing of it needs
// the work's own context, which may have ended.
func (j *turn) settle(ctx, work context.Context, outcome error) error {
	var notNow *notNowError
	switch {
	case outcome == nil:
		return nil
	case errors.Is(outcome, store.ErrLaneLost), errors.Is(context.Cause(work), store.ErrLaneLost):
		if j.stoppedByOperator(ctx) {
			return nil
		}
		return j.laneLost(ctx, outcome)
	case errors.As(outcome, &notNow):
		return j.putOffClaimed(ctx, notNow.wait)
	case errors.Is(outcome, errTurnOver):
		return j.turnOver(ctx, outcome)
	case errors.Is(outcome, errDraining):
		return j.handBack(ctx, outcome)
	case errors.Is(outcome, errWanted):
		return j.park(ctx, job.Park{Reason: job.ParkLaneWanted, Delay: job.WantedPause}, outcome)
	case work.Err() != nil:
		// Cancelled in mid-page: by a drain that took too long, or by a lost heartbeat. The cursor stands at
		// the last committed page, and the lane tells whether it is still ours to hand back.
		return j.handBack(ctx, outcome)
	}
	refusals, refused := job.CountRefusals(outcome, j.run.Refusals, j.tries)
	if refused != nil {
		return j.giveUp(ctx, refused)
	}
	if park, parked := job.ParkFor(outcome, j.run.Parks); parked {
		j.run.Refusals = refusals
		return j.park(ctx, park, outcome)
	}
	if fault.KindOf(outcome) == fault.KindPermanent {
		return j.giveUp(ctx, outcome)
	}
	return outcome // ours: Postgres or NATS; the message comes again
}

// park puts the run off in Postgres, holding no slot of the broker, and tells of the condition once.
func (j *turn) park(ctx context.Context, park job.Park, cause error) error {
	err := j.store.InLane(ctx, j.lease, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if park, err = job.Judge(ctx, tx.Conn, j.customer.ID, park, cause, j.run.Parks); err != nil {
			return err
		}
		if err := tx.ParkRun(ctx, j.run.ID, j.lease.Epoch, park.Reason, job.DetailOf(park, cause), park.Delay); err != nil {
			return err
		}
		if err := tx.CountRefusals(ctx, j.run.ID, j.run.Refusals); err != nil {
			return err
		}
		if err := job.TellPark(ctx, tx, j.customer.ID, park); err != nil {
			return err
		}
		return job.NoteRefusal(ctx, tx, j.customer.ID, cause)
	})
	if err != nil {
		return j.notSettled(ctx, "park", err)
	}
	j.metrics.parked(park.Reason)
	j.log.Warn("backfill parked", zap.String("reason", park.Reason), zap.Duration("for", park.Delay), zap.Int("page", j.run.NextPage), zap.Error(cause))
	return nil
}

// handBack queues the run again behind all others: a new request through the outbox, and an ack for the old
// one. A nak would put it ahead of everybody.
func (j *turn) handBack(ctx context.Context, cause error) error {
	err := j.store.InLane(ctx, j.lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.RequeueRun(ctx, j.run.ID, j.lease.Epoch); err != nil {
			return err
		}
		return publishRequest(ctx, tx, store.RunRef{ID: j.run.ID, Customer: j.customer.ID})
	})
	if err != nil {
		return j.notSettled(ctx, "hand back", err)
	}
	j.log.Info("backfill handed back", zap.Int("next_page", j.run.NextPage), zap.String("why", cause.Error()))
	return nil
}

// giveUp ends a run that no further attempt can mend. The permanent fault makes the message a letter.
func (j *turn) giveUp(ctx context.Context, cause error) error {
	code := fault.CodeOf(cause)
	j.run.Failure = cause.Error()
	alert := event.AlertFor(j.customer.ID, event.AlertBackfillFailed)
	alert.Text = event.WithDetail(alert.Text, j.run.Failure)
	err := j.store.InLane(ctx, j.lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.FinishRun(ctx, j.run, j.lease.Epoch, store.RunFailed, code); err != nil {
			return err
		}
		if err := event.Raise(ctx, tx, alert); err != nil {
			return err
		}
		return j.tell(ctx, tx, event.BackfillFailed, func(now time.Time) *event.Fact {
			return &event.Fact{Data: &rollcallv1.BackfillFailed{
				CustomerId: j.customer.ID, RunId: j.run.ID, ErrorCode: code, FailedAt: timestamppb.New(now),
			}}
		})
	})
	if err != nil {
		return j.notSettled(ctx, "give up", err)
	}
	return fmt.Errorf("backfill given up: %w", cause)
}

func (j *turn) notSettled(ctx context.Context, verb string, err error) error {
	if errors.Is(err, store.ErrLaneLost) {
		if j.stoppedByOperator(ctx) {
			return nil
		}
		return j.laneLost(ctx, fmt.Errorf("%s run: %w", verb, err))
	}
	return &job.NotSettledError{Verb: verb + " run", Err: err}
}

// laneLost leaves the run to the lane's holder: another worker, or, where the customer was paused for a moment
// under this one, the worker that gets the message again. The claim does not count: this worker did not die of the run.
func (j *turn) laneLost(ctx context.Context, cause error) error {
	if err := j.store.UncountClaim(ctx, j.run.ID, j.lease.Epoch); err != nil {
		return &job.NotSettledError{Verb: "give the claim back", Err: err}
	}
	if why := job.StoppedBy(ctx, j.store.Conn, j.customer); why != "" {
		j.log.Info("backfill stopped by an operator", zap.String("why", why), zap.Int("next_page", j.run.NextPage))
	} else {
		j.log.Warn("lane lost; another worker goes on", zap.Error(cause))
	}
	return worker.Retry(laneLostPause, cause)
}

// publishRequest owes the bus a request for a run.
func publishRequest(ctx context.Context, tx *store.Tx, run store.RunRef) error {
	message, err := requestMessage(run)
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

// requestMessage wakes a worker for a run. Its id is new each time: the stream would take a repeated one for a
// duplicate and drop it, looking as if it had it.
func requestMessage(run store.RunRef) (store.Message, error) {
	payload, err := rollcallv1.Encode(&rollcallv1.BackfillRequest{CustomerId: run.Customer, RunId: run.ID})
	if err != nil {
		return store.Message{}, err
	}
	return store.Message{Subject: bus.SubjectBackfill(run.Customer), ID: "backfill-" + uuid.NewString(), Payload: payload}, nil
}
