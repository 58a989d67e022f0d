package main

import (
	"context"
	"errors"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// tokenOwner returns the customer whose token a token-only request replaces. For an unknown or offboarded customer, and for one without a
// mirror, it returns an error of the request, because a destination is missing. The rule is here because it needs the database.
func tokenOwner(ctx context.Context, conn store.Conn, customer string) (store.Customer, rollcallv1.FieldErrors, error) {
	current, err := conn.Customer(ctx, customer)
	unknown := errors.Is(err, store.ErrNotFound)
	if err != nil && !unknown {
		return store.Customer{}, nil, err
	}
	if unknown || current.OffboardedAt != nil || !current.Mirrors() {
		errs := rollcallv1.FieldErrors{}
		errs.Add(fieldURL, rollcallv1.MissingDestination)
		return store.Customer{}, errs, nil
	}
	return current, nil, nil
}

// endedConditions returns the alerts that a request clears on the side of the mirror, and the text. A token-only request clears none of the
// destination. backfill_failed is cleared if another backfill starts.
func endedConditions(ctx context.Context, tx *store.Tx, proposed proposal) (conditions []string, text string, err error) {
	conditions = []string{event.AlertAuthFailed, event.AlertVomoForbidden}
	if !proposed.tokenOnly {
		return append(conditions, event.AlertDestinationAuthFailed, event.AlertBackfillFailed), "Onboarded again.", nil
	}
	owed, err := needsBackfill(ctx, tx, proposed.wanted)
	if owed {
		conditions = append(conditions, event.AlertBackfillFailed)
	}
	return conditions, "A new token was given.", err
}
