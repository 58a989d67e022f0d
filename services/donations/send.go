package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/hold"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	firstDelay   = 5 * time.Second
	longestDelay = time.Hour
)

// step is a place in the work on one donation between two effects.
type step string

// Steps.
const (
	stepLookedUp  step = "looked_up" // an earlier attempt had no answer, and it is known whether there is a gift
	stepConfirmed step = "confirmed" // there was
	stepNoted     step = "noted"
	stepAnswered  step = "answered"
	stepRecorded  step = "recorded"
)

func (s *submitter) at(place step) error {
	if s.reached == nil {
		return nil
	}
	return s.reached(place)
}

// sendGuarded is send for a donation that must not stop the others: one whose work panics is put off alone.
func (b *batch) sendGuarded(ctx context.Context, one store.DueDonation) error {
	log := b.Log.With(zap.String("donation", one.PlatformID))
	err := round.Guarded(log, func() error { return b.send(ctx, one) })
	if _, panicked := errors.AsType[*round.PanicError](err); panicked {
		b.count("panicked", true)
		return b.postpone(ctx, one, firstDelay, longestDelay, err)
	}
	if errors.Is(err, connector.ErrGaveWay) {
		return nil
	}
	return err
}

// postpone puts off one donation, and keeps why.
func (b *batch) postpone(ctx context.Context, one store.DueDonation, shortest, longest time.Duration, cause error) error {
	return b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.PostponeDonation(ctx, b.Customer.ID, one.ID, shortest, longest, fault.CodeOf(cause))
		return err
	})
}

// send sends the transaction of one donation, and records the answer. Its error concerns the customer, and not this donation alone.
func (b *batch) send(ctx context.Context, one store.DueDonation) error {
	body, err := b.open(one.BodySealed)
	if errors.Is(err, vault.ErrForeign) { // with the key of a customer who was offboarded, and has returned
		return b.failUnreadable(ctx, one)
	}
	if err != nil {
		return fmt.Errorf("open the transaction: %w", err)
	}
	lookedUp := one.UnansweredSince != nil
	if lookedUp {
		if ended, err := b.lookUp(ctx, one); err != nil || ended {
			return err
		}
	}
	if ended, err := b.checkProjects(ctx, one, body); err != nil || ended {
		return err
	}
	if err := connector.GivesWay(ctx); err != nil {
		return err
	}
	var attempt store.DonationAttempt
	var begun bool
	err = b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		attempt, begun, err = tx.BeginDonationAttempt(ctx, b.Lease, one, lookedUp)
		return err
	})
	if err != nil || !begun {
		return err
	}
	if err := b.at(stepNoted); err != nil {
		return err
	}
	outcome := b.client.SubmitGift(ctx, body)
	if err := b.at(stepAnswered); err != nil {
		return err
	}
	if err := b.record(ctx, attempt, outcome); err != nil {
		return err
	}
	b.count(outcome.Verdict.String(), !outcome.IsIn())
	if outcome.IsIn() {
		b.noteAccepted()
	}
	if err := b.at(stepRecorded); err != nil {
		return err
	}
	return b.faultOf(ctx, outcome)
}

// lookUp looks for the gift of a donation before its transaction is sent again. ended says that nothing is to be sent now.
func (b *batch) lookUp(ctx context.Context, one store.DueDonation) (ended bool, err error) {
	asked, err := b.Store.Now(ctx)
	if err != nil {
		return true, err
	}
	gift, err := b.client.GiftByTransaction(ctx, one.TransactionSource, one.PlatformID)
	if err == nil || errors.Is(err, virtuous.ErrNotFound) {
		if err := b.at(stepLookedUp); err != nil {
			return true, err
		}
	}
	switch {
	case err == nil:
		return true, b.confirm(ctx, one, gift, asked)
	case errors.Is(err, virtuous.ErrNotFound):
		return false, nil
	case ctx.Err() != nil, errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable), errors.Is(err, connector.ErrGaveWay):
		return true, err
	}
	if postponing := b.postpone(ctx, one, firstDelay, longestDelay, err); postponing != nil {
		return true, postponing
	}
	b.count("not_looked_up", true)
	if errors.Is(err, virtuous.ErrUnknownAnswer) {
		return true, nil // of this donation alone: Virtuous may show the transaction that it holds
	}
	return true, b.faultOfRead(ctx, err)
}

// faultOfRead returns what a failed read means for the round, after its donation was put off. One that waits for its share of the requests
// stops no other donation: submissions go on.
func (b *batch) faultOfRead(ctx context.Context, err error) error {
	if hold.IsPaced(err) {
		return nil
	}
	if errors.Is(err, virtuous.ErrUnauthorized) {
		err = hold.ConfirmRejection(ctx, b.client, b.sleep, err)
	}
	return hold.For(err, b.Holds)
}

// confirm stores the gift, and with it that the donation is confirmed.
func (b *batch) confirm(ctx context.Context, one store.DueDonation, gift virtuous.Gift, asked time.Time) error {
	keys, err := b.inbound.Keys(ctx, b.Customer.ID)
	if err != nil {
		return err
	}
	pass := inbound.Pass{Customer: b.Customer.ID, Job: jobSubmit, RecoveryPath: recoveredBySubmission, TraceID: b.TraceID}
	err = b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		_, err := b.inbound.Apply(ctx, tx, keys, pass, []inbound.Record{{Gift: &gift, At: asked, Read: true}})
		return err
	})
	if err != nil {
		return err
	}
	b.count("found", false)
	b.Log.Info("gift of an earlier attempt found", zap.String("donation", one.PlatformID), zap.Int64("gift", gift.ID))
	return b.at(stepConfirmed)
}

// recoveredBySubmission is the recovery path of a donation whose gift was found before its transaction was sent again.
const recoveredBySubmission = "submission_lookup"

// record records what Virtuous answered. It changes nothing if the donation is not pending any more.
func (b *batch) record(ctx context.Context, attempt store.DonationAttempt, outcome virtuous.Outcome) error {
	log := b.Log.With(zap.String("donation", attempt.Before.PlatformID), zap.Stringer("verdict", outcome.Verdict), zap.Int("status", outcome.Status),
		zap.String("request_id", outcome.RequestID), zap.Int("attempt", attempt.Number))
	var changed bool
	recording := context.WithoutCancel(ctx) // a stop of the service must not lose an answer; the lane's lease decides
	recording, cancel := context.WithTimeout(recording, recordTimeout)
	defer cancel()
	err := b.Store.InLane(recording, b.Lease, func(ctx context.Context, tx *store.Tx) (err error) {
		switch {
		case outcome.IsIn():
			changed, err = tx.SubmitDonation(ctx, attempt, outcome.Verdict == virtuous.Repeated)
			return err
		case outcome.Verdict == virtuous.Refused:
			if changed, err = tx.FailDonation(ctx, attempt, outcome.LastError()); err != nil || !changed {
				return err
			}
			return b.publishFailure(ctx, tx, attempt.Before, attempt.Number, outcome.LastError())
		}
		changed, err = tx.WaitDonation(ctx, attempt, store.Unaccepted{
			IsSent: outcome.Verdict != virtuous.Unsent, MayBeAccepted: outcome.MayBeAccepted, Delay: delayAfter(attempt, outcome),
			LastError: outcome.LastError(),
		})
		return err
	})
	switch {
	case err != nil:
		return err
	case !changed:
		log.Warn("answer not recorded: the donation has changed meanwhile")
	default:
		log.Info("donation answered", zap.NamedError("fault", outcome.Err))
	}
	return nil
}

// recordTimeout bounds how long an answer is tried to be recorded; after it, the attempt counts as unanswered.
const recordTimeout = 5 * time.Second

// delayAfter returns when a donation is due again whose transaction was not accepted. It is due at once if the answer concerns all
// donations of the customer: they are held then.
func delayAfter(attempt store.DonationAttempt, outcome virtuous.Outcome) time.Duration {
	switch outcome.Verdict {
	case virtuous.Throttled, virtuous.Unauthorized, virtuous.Forbidden:
		return 0
	case virtuous.Unsent:
		if !hold.IsVirtuous(outcome.Err) || errors.Is(outcome.Err, virtuous.ErrOpen) {
			return 0
		}
	case virtuous.Accepted, virtuous.Repeated, virtuous.Unclear, virtuous.Refused:
	}
	return max(outcome.After, backoff.Delays{First: firstDelay, Longest: longestDelay, Jitter: 0.2}.After(attempt.Number+attempt.Before.Unsent))
}

// faultOf returns what an answer means for the round; nil: the next donation is sent.
func (b *batch) faultOf(ctx context.Context, outcome virtuous.Outcome) error {
	switch outcome.Verdict {
	case virtuous.Unauthorized:
		return hold.For(hold.ConfirmRejection(ctx, b.client, b.sleep, outcome.Err), b.Holds)
	case virtuous.Throttled, virtuous.Forbidden:
		return hold.For(outcome.Err, b.Holds)
	case virtuous.Unsent:
		if errors.Is(outcome.Err, connector.ErrGaveWay) {
			return nil
		}
		if hold.IsVirtuous(outcome.Err) && !errors.Is(outcome.Err, virtuous.ErrOpen) {
			return nil // no connection: the circuit breaker counts
		}
		return hold.For(outcome.Err, b.Holds)
	case virtuous.Accepted, virtuous.Repeated, virtuous.Unclear, virtuous.Refused: // of this donation alone
	}
	return nil
}

// failUnreadable ends a donation whose transaction cannot be read any more.
func (b *batch) failUnreadable(ctx context.Context, one store.DueDonation) error {
	const unreadable = "unreadable"
	err := b.failUnsent(ctx, one, unreadable)
	if err == nil {
		b.count(unreadable, true)
		b.Log.Warn("donation failed: it was sealed with a key that was destroyed", zap.String("donation", one.PlatformID))
	}
	return err
}

// failUnsent ends a donation whose transaction is not sent as it is.
func (b *batch) failUnsent(ctx context.Context, one store.DueDonation, lastError string) error {
	return b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		changed, err := tx.FailUnsentDonation(ctx, b.Customer.ID, one, lastError)
		if err != nil || !changed {
			return err
		}
		return b.publishFailure(ctx, tx, one, one.Attempts, lastError)
	})
}

func (b *batch) publishFailure(ctx context.Context, tx *store.Tx, one store.DueDonation, number int, lastError string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	message, err := event.Fact{
		Name: event.DonationFailed, Customer: b.Customer.ID, At: now, TraceID: b.TraceID,
		ID: "donation-failed-" + b.Customer.ID + "-" + strconv.FormatInt(one.ID, 10) + "-" + strconv.FormatInt(now.UnixNano(), 10) + "-" + strconv.Itoa(number),
		Data: &rollcallv1.DonationFailed{
			CustomerId: b.Customer.ID, PlatformDonationId: one.PlatformID, Error: lastError, FailedAt: timestamppb.New(now),
		},
	}.Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}
