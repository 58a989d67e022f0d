package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// unitsOf divides due transactions into what is sent by one request each: up to VIRTUOUS_BATCH donations of one source that need neither a lookup nor
// a check before they are sent, and the others, and contacts, alone.
func (b *batch) unitsOf(due []store.DueTransaction) [][]store.DueTransaction {
	var units [][]store.DueTransaction
	open := map[string]int{} // by source: the unit that has room
	for _, one := range due {
		if one.Kind != store.DonationTransaction || b.together <= 1 || one.UnansweredSince != nil || b.mustCheck(one) {
			units = append(units, []store.DueTransaction{one})
			continue
		}
		at, isOpen := open[one.TransactionSource]
		if !isOpen || len(units[at]) == b.together {
			at = len(units)
			open[one.TransactionSource], units = at, append(units, nil)
		}
		units[at] = append(units[at], one)
	}
	return units
}

// sendUnit sends the transactions of a unit.
func (b *batch) sendUnit(ctx context.Context, unit []store.DueTransaction) error {
	if err := connector.GivesWay(ctx); err != nil { // it waited for a slot
		return nil //nolint:nilerr // it is due in the next round
	}
	if len(unit) == 1 {
		return b.sendGuarded(ctx, unit[0])
	}
	err := round.Guarded(b.Log, func() error { return b.sendTogether(ctx, unit) })
	if _, panicked := errors.AsType[*round.PanicError](err); !panicked {
		return err
	}
	for _, one := range unit {
		b.count(one.Kind, "panicked", true)
		if err := b.postpone(ctx, one, firstDelay, longestDelay, err); err != nil {
			return err
		}
	}
	return nil
}

// sendTogether sends several transactions by one request. Any answer but a success says nothing about a single one of them: those that may have
// been accepted are looked up and sent alone from then on.
func (b *batch) sendTogether(ctx context.Context, unit []store.DueTransaction) error {
	readable, bodies, err := b.openAll(ctx, unit)
	if err != nil {
		return err
	}
	attempts, bodies, err := b.beginAll(ctx, readable, bodies)
	if err != nil || len(attempts) == 0 {
		return err
	}
	if err := b.at(stepNoted); err != nil {
		return err
	}
	outcome := b.client.SubmitGifts(ctx, unit[0].TransactionSource, bodies)
	if err := b.at(stepAnswered); err != nil {
		return err
	}
	if err := b.recordAll(ctx, attempts, outcome); err != nil {
		return err
	}
	if err := b.at(stepRecorded); err != nil {
		return err
	}
	switch outcome.Verdict {
	case virtuous.Unauthorized, virtuous.Forbidden: // perhaps of requests with several transactions alone
		b.countFallback(len(attempts))
		return b.sendAlone(ctx, readable)
	case virtuous.Refused:
		b.countFallback(len(attempts))
		b.noteMore()
		return nil
	case virtuous.Accepted:
		b.noteAccepted()
	case virtuous.Unsent, virtuous.Repeated, virtuous.Unclear, virtuous.Throttled:
	}
	for range attempts {
		b.count(store.DonationTransaction, outcome.Verdict.String(), !outcome.IsIn())
	}
	return b.faultOf(ctx, outcome)
}

func (b *batch) countFallback(donations int) {
	for range donations {
		b.metrics.attempted(store.DonationTransaction, "fell_back")
	}
}

func (b *batch) sendAlone(ctx context.Context, unit []store.DueTransaction) error {
	for _, one := range unit {
		if b.hasFailed() || b.MustEnd(ctx) {
			return nil
		}
		if err := b.sendGuarded(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// openAll returns the donations whose transactions can be read, and these. The others fail.
func (b *batch) openAll(ctx context.Context, unit []store.DueTransaction) (readable []store.DueTransaction, bodies []json.RawMessage, err error) {
	for _, one := range unit {
		body, err := b.open(one)
		switch {
		case errors.Is(err, vault.ErrForeign):
			if err := b.failUnreadable(ctx, one); err != nil {
				return nil, nil, err
			}
		case err != nil:
			return nil, nil, fmt.Errorf("open the transaction: %w", err)
		default:
			readable, bodies = append(readable, one), append(bodies, body)
		}
	}
	return readable, bodies, nil
}

// beginAll notes an attempt for each donation, in one transaction, and returns the attempts with their bodies.
func (b *batch) beginAll(ctx context.Context, unit []store.DueTransaction, bodies []json.RawMessage) (
	attempts []store.TransactionAttempt, begun []json.RawMessage, err error,
) {
	err = b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		attempts, begun = nil, nil
		for i, one := range unit {
			attempt, isBegun, err := tx.BeginTransactionAttempt(ctx, b.Lease, one, false)
			if err != nil {
				return err
			}
			if isBegun {
				attempts, begun = append(attempts, attempt), append(begun, bodies[i])
			}
		}
		return nil
	})
	return attempts, begun, err
}

// recordAll records the answer for each donation, in one transaction.
func (b *batch) recordAll(ctx context.Context, attempts []store.TransactionAttempt, outcome virtuous.Outcome) error {
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	unchanged := 0
	err := b.Store.InLane(recording, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		unchanged = 0
		for _, attempt := range attempts {
			changed, err := recordOne(ctx, tx, attempt, outcome)
			if err != nil {
				return err
			}
			if !changed {
				unchanged++
			}
		}
		return nil
	})
	if err == nil {
		b.Log.Info("donations answered together", zap.Int("donations", len(attempts)), zap.Int("changed_meanwhile", unchanged),
			zap.Stringer("verdict", outcome.Verdict), zap.Int("status", outcome.Status), zap.String("request_id", outcome.RequestID),
			zap.NamedError("fault", outcome.Err))
	}
	return err
}

func recordOne(ctx context.Context, tx *store.Tx, attempt store.TransactionAttempt, outcome virtuous.Outcome) (changed bool, err error) {
	end := store.Unaccepted{
		IsSent: outcome.Verdict != virtuous.Unsent, MayBeAccepted: outcome.Verdict == virtuous.Unclear, Delay: delayAfter(attempt, outcome),
		LastError: outcome.LastError(),
	}
	if err := tx.NoteTransactionAttempt(ctx, attempt, answerOf(outcome)); err != nil {
		return false, err
	}
	switch {
	case outcome.IsIn():
		return tx.SubmitTransaction(ctx, attempt, false)
	case outcome.Verdict == virtuous.Refused: // of which transaction is not known, nor whether the others were accepted
		end.MayBeAccepted, end.Delay = true, 0
	}
	return tx.WaitTransaction(ctx, attempt, end)
}
