package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/hold"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

const (
	firstDelay   = 5 * time.Second
	longestDelay = time.Hour
)

// step is a place in the work on one transaction between two effects.
type step string

// Steps.
const (
	stepLookedUp  step = "looked_up" // an earlier attempt had no answer, and it is known whether there is a gift or contact
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

// sendGuarded is send for a transaction that must not stop the others: one whose work panics is put off alone.
func (b *batch) sendGuarded(ctx context.Context, one store.DueTransaction) error {
	log := b.Log.With(named(one))
	err := round.Guarded(log, func() error { return b.send(ctx, one) })
	if _, panicked := errors.AsType[*round.PanicError](err); panicked {
		b.count(one.Kind, "panicked", true)
		return b.postpone(ctx, one, firstDelay, longestDelay, err)
	}
	if errors.Is(err, connector.ErrGaveWay) {
		return nil
	}
	return err
}

// postpone puts off one transaction, and keeps why.
func (b *batch) postpone(ctx context.Context, one store.DueTransaction, shortest, longest time.Duration, cause error) error {
	return b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.PostponeTransaction(ctx, b.Customer.ID, one, shortest, longest, fault.CodeOf(cause))
		return err
	})
}

// send sends one transaction, and records the answer. Its error concerns the customer, and not this transaction alone.
func (b *batch) send(ctx context.Context, one store.DueTransaction) error {
	body, err := b.open(one)
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
	var attempt store.TransactionAttempt
	var begun bool
	err = b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		attempt, begun, err = tx.BeginTransactionAttempt(ctx, b.Lease, one, lookedUp)
		return err
	})
	if err != nil || !begun {
		return err
	}
	if err := b.at(stepNoted); err != nil {
		return err
	}
	outcome := b.post(ctx, one.Kind, body)
	if err := b.at(stepAnswered); err != nil {
		return err
	}
	if err := b.record(ctx, attempt, outcome); err != nil {
		return err
	}
	b.count(one.Kind, outcome.Verdict.String(), !outcome.IsIn())
	if outcome.IsIn() {
		b.noteAccepted()
	}
	if err := b.at(stepRecorded); err != nil {
		return err
	}
	return b.faultOf(ctx, outcome)
}

// lookUp looks for what became of a transaction before it is sent again. ended says that nothing is to be sent now.
func (b *batch) lookUp(ctx context.Context, one store.DueTransaction) (ended bool, err error) {
	asked, err := b.Store.Now(ctx)
	if err != nil {
		return true, err
	}
	record, err := b.find(ctx, one)
	if err == nil || errors.Is(err, virtuous.ErrNotFound) {
		if err := b.at(stepLookedUp); err != nil {
			return true, err
		}
	}
	switch {
	case err == nil:
		record.At, record.Read = asked, true
		return true, b.confirm(ctx, one, record)
	case errors.Is(err, virtuous.ErrNotFound):
		return false, nil
	case ctx.Err() != nil, errors.Is(err, store.ErrLaneLost), errors.Is(err, store.ErrUnavailable), errors.Is(err, connector.ErrGaveWay):
		return true, err
	}
	if postponing := b.postpone(ctx, one, firstDelay, longestDelay, err); postponing != nil {
		return true, postponing
	}
	b.count(one.Kind, "not_looked_up", true)
	if errors.Is(err, virtuous.ErrUnknownAnswer) {
		return true, nil // of this one alone: Virtuous may show the transaction that it holds
	}
	return true, b.faultOfRead(ctx, err)
}

// faultOfRead returns what a failed read means for the round, after its transaction was put off. One that waits for its share of the requests
// stops no other transaction: submissions go on.
func (b *batch) faultOfRead(ctx context.Context, err error) error {
	if hold.IsPaced(err) {
		return nil
	}
	if errors.Is(err, virtuous.ErrUnauthorized) {
		err = hold.ConfirmRejection(ctx, b.client, b.sleep, err)
	}
	return hold.For(err, b.Holds)
}

// confirm stores the gift or contact, and with it that its transaction is confirmed.
func (b *batch) confirm(ctx context.Context, one store.DueTransaction, record inbound.Record) error {
	keys, err := b.inbound.Keys(ctx, b.Customer.ID)
	if err != nil {
		return err
	}
	pass := inbound.Pass{Customer: b.Customer.ID, Job: jobSubmit, RecoveryPath: recoveredBySubmission, TraceID: b.TraceID}
	err = b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		_, err := b.inbound.Apply(ctx, tx, keys, pass, []inbound.Record{record})
		return err
	})
	if err != nil {
		return err
	}
	b.count(one.Kind, "found", false)
	b.Log.Info("record of an earlier attempt found", named(one), zap.Int64("virtuous_id", record.ID()))
	return b.at(stepConfirmed)
}

// recoveredBySubmission is the recovery path of a donation or contact that was found at Virtuous before its transaction was sent again.
const recoveredBySubmission = "submission_lookup"

// record records what Virtuous answered. It changes nothing if the transaction is not pending any more.
func (b *batch) record(ctx context.Context, attempt store.TransactionAttempt, outcome virtuous.Outcome) error {
	log := b.Log.With(named(attempt.Before), zap.Stringer("verdict", outcome.Verdict), zap.Int("status", outcome.Status),
		zap.String("request_id", outcome.RequestID), zap.Int("attempt", attempt.Number))
	var changed bool
	recording := context.WithoutCancel(ctx) // a stop of the service must not lose an answer; the lane's lease decides
	recording, cancel := context.WithTimeout(recording, recordTimeout)
	defer cancel()
	err := b.Store.InLane(recording, b.Lease, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := tx.NoteTransactionAttempt(ctx, attempt, answerOf(outcome)); err != nil {
			return err
		}
		switch {
		case outcome.IsIn():
			changed, err = tx.SubmitTransaction(ctx, attempt, outcome.Verdict == virtuous.Repeated)
			return err
		case outcome.Verdict == virtuous.Refused:
			if changed, err = tx.FailTransaction(ctx, attempt, outcome.LastError()); err != nil || !changed {
				return err
			}
			return b.publishFailure(ctx, tx, attempt.Before, attempt.Number, outcome.LastError())
		}
		changed, err = tx.WaitTransaction(ctx, attempt, store.Unaccepted{
			IsSent: outcome.Verdict != virtuous.Unsent, MayBeAccepted: outcome.MayBeAccepted, Delay: delayAfter(attempt, outcome),
			LastError: outcome.LastError(),
		})
		return err
	})
	switch {
	case err != nil:
		return err
	case !changed:
		log.Warn("answer not recorded: the " + nameOf(attempt.Before.Kind) + " has changed meanwhile")
	default:
		log.Info(nameOf(attempt.Before.Kind)+" answered", zap.NamedError("fault", outcome.Err))
	}
	return nil
}

// answerOf returns what the transaction's list of attempts keeps of an answer.
func answerOf(outcome virtuous.Outcome) store.AttemptAnswer {
	return store.AttemptAnswer{Verdict: outcome.Verdict.String(), Status: outcome.Status, RequestID: outcome.RequestID, Error: outcome.LastError()}
}

// recordTimeout bounds how long an answer is tried to be recorded; after it, the attempt counts as unanswered.
const recordTimeout = 5 * time.Second

// delayAfter returns when a transaction is due again that was not accepted. It is due at once if the answer concerns all transactions of the
// customer: they are held then.
func delayAfter(attempt store.TransactionAttempt, outcome virtuous.Outcome) time.Duration {
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

// faultOf returns what an answer means for the round; nil: the next transaction is sent.
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
	case virtuous.Accepted, virtuous.Repeated, virtuous.Unclear, virtuous.Refused: // of this transaction alone
	}
	return nil
}

// failUnreadable ends a transaction that cannot be read any more.
func (b *batch) failUnreadable(ctx context.Context, one store.DueTransaction) error {
	const unreadable = "unreadable"
	err := b.failUnsent(ctx, one, unreadable)
	if err == nil {
		b.count(one.Kind, unreadable, true)
		b.Log.Warn(nameOf(one.Kind)+" failed: it was sealed with a key that was destroyed", named(one))
	}
	return err
}

// failUnsent ends a transaction that is not sent as it is.
func (b *batch) failUnsent(ctx context.Context, one store.DueTransaction, lastError string) error {
	return b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		changed, err := tx.FailUnsentTransaction(ctx, b.Customer.ID, one, lastError)
		if err != nil || !changed {
			return err
		}
		return b.publishFailure(ctx, tx, one, one.Attempts, lastError)
	})
}

func (b *batch) publishFailure(ctx context.Context, tx *store.Tx, one store.DueTransaction, number int, lastError string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	message, err := failure(b.Customer.ID, one, lastError, now, number, b.TraceID).Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}
