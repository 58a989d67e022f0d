package main

import (
	"context"
	"errors"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// judgeStanding says whether there is a customer whose token a request may replace that has nothing else. One who is not
// known, or has left, would have to have a destination; the rule is kept here because only the database knows them.
func judgeStanding(ctx context.Context, tx *store.Tx, pending store.PendingRequest) (store.Customer, verdict, error) {
	later, err := tx.RequestAppliedAfter(ctx, pending.Customer, pending.Origin)
	if err != nil || later {
		return store.Customer{}, verdict{outcome: store.RequestSuperseded}, err
	}
	current, err := tx.Customer(ctx, pending.Customer)
	unknown := errors.Is(err, store.ErrNotFound)
	if err != nil && !unknown {
		return store.Customer{}, verdict{}, err
	}
	if unknown || current.OffboardedAt != nil {
		errs := rollcallv1.FieldErrors{}
		errs.Add(fieldURL, rollcallv1.MissingDestination)
		return store.Customer{}, verdict{refused: errs}, nil
	}
	return current, verdict{outcome: store.RequestApplied}, nil
}

// standing is the customer whose token a request is to replace, before VOMO is asked: no token is sent for an unknown customer,
// and its refusal waits for no other work. settled is true where the request has ended with that.
func (s *settler) standing(ctx context.Context, pending store.PendingRequest) (current store.Customer, settled bool, err error) {
	var judged verdict
	err = s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		current, judged, err = judgeStanding(ctx, tx, pending)
		if err != nil || judged.outcome != store.RequestSuperseded {
			return err
		}
		_, err = tx.SettleRequest(ctx, pending.ID, judged.outcome, nil)
		return err
	})
	if err != nil {
		return current, false, err
	}
	if judged.refused != nil {
		return current, true, s.refuse(ctx, pending, judged.refused)
	}
	return current, judged.outcome == store.RequestSuperseded, nil
}

// over are the conditions that a request ends, and the words for it. A token alone says nothing of the destination; a
// backfill that was given up is over where another one begins.
func over(ctx context.Context, tx *store.Tx, proposed proposal) (conditions []string, text string, err error) {
	conditions = []string{event.AlertAuthFailed, event.AlertVomoForbidden}
	if !proposed.tokenOnly {
		return append(conditions, event.AlertDestinationAuthFailed, event.AlertBackfillFailed), "Onboarded again.", nil
	}
	owed, err := owesBackfill(ctx, tx, proposed.wanted)
	if owed {
		conditions = append(conditions, event.AlertBackfillFailed)
	}
	return conditions, "A new token was given.", err
}
