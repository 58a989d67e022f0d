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
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Reasons to park; those that are alerts, too, have the alert's name.
const (
	parkVomoUnavailable = "vomo_unavailable"
	parkVomoThrottled   = "vomo_throttled"
	parkLaneWanted      = "lane_wanted"
)

// How long a run is parked, by who is at fault.
const (
	firstPark        = 2 * time.Second
	longestProbe     = time.Minute // a destination that is down
	longestVomoPause = 5 * time.Minute
	authPause        = 15 * time.Minute // a new token wakes the run at once
	wantedPause      = 2500 * time.Millisecond
	confirmAfter     = 2 * time.Second
	settleTimeout    = 5 * time.Second
	laneLostPause    = time.Second
)

// settle turns the outcome of a turn into the run's next state and the message's outcome. Nothing of it needs
// the work's own context, which may have ended.
func (j *job) settle(work context.Context, outcome error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), settleTimeout)
	defer cancel()
	var notNow *notNowError
	switch {
	case outcome == nil:
		return nil
	case errors.Is(outcome, store.ErrLaneLost), errors.Is(context.Cause(work), store.ErrLaneLost):
		if j.stoppedByOperator(ctx) {
			return nil
		}
		j.log.Warn("lane lost; another worker goes on", zap.Error(outcome))
		return worker.Retry(laneLostPause, outcome)
	case errors.As(outcome, &notNow):
		return j.putOffClaimed(ctx, notNow.wait)
	case errors.Is(outcome, errTurnOver):
		return j.turnOver(ctx, outcome)
	case errors.Is(outcome, errDraining):
		return j.handBack(ctx, outcome)
	case errors.Is(outcome, errWanted):
		return j.park(ctx, parkLaneWanted, wantedPause, outcome)
	case work.Err() != nil:
		// Cancelled in mid-page: by a drain that took too long, or by a lost heartbeat. The cursor stands at
		// the last committed page, and the lane tells whether it is still ours to hand back.
		return j.handBack(ctx, outcome)
	case errors.Is(outcome, destination.ErrNotPublic):
		return j.park(ctx, event.AlertDestinationNotPublic, doubling(longestProbe, j.run.Parks), outcome)
	case errors.Is(outcome, mirror.ErrDestinationDown):
		return j.park(ctx, event.AlertDestinationDown, doubling(longestProbe, j.run.Parks), outcome)
	case errors.Is(outcome, mirror.ErrDestinationAuth):
		return j.park(ctx, event.AlertDestinationAuthFailed, doubling(longestProbe, j.run.Parks), outcome)
	case errors.Is(outcome, vomo.ErrUnauthorized), errors.Is(outcome, vomo.ErrForbidden),
		errors.Is(outcome, errNoCredential), errors.Is(outcome, vault.ErrKeyGone):
		return j.park(ctx, event.AlertAuthFailed, authPause, outcome)
	case fault.KindOf(outcome) == fault.KindThrottled:
		after, _ := fault.After(outcome)
		return j.park(ctx, parkVomoThrottled, max(after, doubling(longestVomoPause, j.run.Parks)), outcome)
	case fault.KindOf(outcome) == fault.KindPermanent:
		return j.giveUp(ctx, outcome)
	case ofVomo(outcome):
		return j.park(ctx, parkVomoUnavailable, doubling(longestVomoPause, j.run.Parks), outcome)
	default:
		return outcome // ours: Postgres or NATS; the message comes again
	}
}

// ofVomo says whether VOMO gave the answer that stopped the job, or none: unknown, tried again for ever.
func ofVomo(err error) bool {
	var coded *fault.Error
	return errors.Is(err, vomo.ErrNotFound) || (errors.As(err, &coded) && coded.Code != "")
}

// confirm asks a second time before a token that worked is called bad: one wrong answer must not stop a
// customer (DESIGN §5).
func (j *job) confirm(ctx context.Context, outcome error) error {
	if !errors.Is(outcome, vomo.ErrUnauthorized) && !errors.Is(outcome, vomo.ErrForbidden) {
		return outcome
	}
	timer := time.NewTimer(confirmAfter)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	}
	// By the token that stands now: a new one may have come since this turn began, and the old one been revoked for it.
	source, err := j.connect.source(ctx, j.customer, j.lease)
	if err != nil {
		return err
	}
	_, err = source.client.Probe(ctx)
	if err == nil {
		return fault.Unknown("vomo_auth_unconfirmed", errors.New("VOMO refused the token once and took it two seconds later"))
	}
	return err
}

// park puts the run off in Postgres, holding no slot of the broker, and tells of the condition once.
func (j *job) park(ctx context.Context, reason string, delay time.Duration, cause error) error {
	err := j.store.InLane(ctx, j.lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ParkRun(ctx, j.run.ID, j.lease.Epoch, reason, delay); err != nil {
			return err
		}
		switch reason {
		case event.AlertDestinationDown, event.AlertDestinationNotPublic, event.AlertDestinationAuthFailed, event.AlertAuthFailed:
			return event.Raise(ctx, tx, event.AlertFor(j.customer.ID, reason))
		}
		return nil
	})
	if err != nil {
		return j.notSettled(ctx, "park", err)
	}
	j.metrics.parked(reason)
	j.log.Warn("backfill parked", zap.String("reason", reason), zap.Duration("for", delay), zap.Int("page", j.run.NextPage), zap.Error(cause))
	return nil
}

// handBack queues the run again behind all others: a new request through the outbox, and an ack for the old
// one. A nak would put it ahead of everybody.
func (j *job) handBack(ctx context.Context, cause error) error {
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
func (j *job) giveUp(ctx context.Context, cause error) error {
	code := fault.CodeOf(cause)
	err := j.store.InLane(ctx, j.lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.FinishRun(ctx, j.run, j.lease.Epoch, store.RunFailed, code); err != nil {
			return err
		}
		if err := event.Raise(ctx, tx, event.AlertFor(j.customer.ID, event.AlertBackfillFailed)); err != nil {
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

func (j *job) notSettled(ctx context.Context, verb string, err error) error {
	if errors.Is(err, store.ErrLaneLost) {
		if j.stoppedByOperator(ctx) {
			return nil
		}
		j.log.Warn("lane lost; another worker goes on", zap.String("instead_of", verb), zap.Error(err))
		return worker.Retry(laneLostPause, err)
	}
	return fmt.Errorf("%s run: %w", verb, err)
}

// clearConditions tells that what the run was parked for is over.
func clearConditions(ctx context.Context, tx *store.Tx, customer string) error {
	for _, condition := range []string{
		event.AlertDestinationDown, event.AlertDestinationNotPublic, event.AlertDestinationAuthFailed, event.AlertAuthFailed,
	} {
		if err := event.Clear(ctx, tx, customer, condition, "It works again."); err != nil {
			return err
		}
	}
	return nil
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

// doubling is 2 s, and twice as much each time, up to longest.
func doubling(longest time.Duration, times int) time.Duration {
	return min(firstPark<<min(times, 16), longest)
}
