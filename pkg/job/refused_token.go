package job

import (
	"context"
	"errors"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// RefusedMany is what stopped work while VOMO refuses many customers' tokens at once, in words for a status.
const RefusedMany = "VOMO refused the tokens of many customers at once"

// Judge says for what work is parked that outcome stopped, in the transaction that parks it: a refused token is VOMO's fault
// while VOMO refuses many at once, and this one had just worked. parks are those in a row before.
func Judge(ctx context.Context, conn store.Conn, customer string, park Park, outcome error, parks int) (Park, error) {
	if park.Reason != event.AlertAuthFailed || !errors.Is(outcome, vomo.ErrUnauthorized) {
		return park, nil
	}
	vomos, err := conn.RefusalIsVomos(ctx, customer)
	if err != nil || !vomos {
		return park, err
	}
	return Park{Reason: ParkVomoUnavailable, Delay: doubling(longestVomoPause, parks)}, nil
}

// NoteRefusal notes that VOMO refused the customer's token, where that is what stopped the work. It comes after TellPark, since
// a customer that is switched off is tried again later.
func NoteRefusal(ctx context.Context, tx *store.Tx, customer string, outcome error) error {
	if !errors.Is(outcome, vomo.ErrUnauthorized) {
		return nil
	}
	return tx.TokenRefused(ctx, customer)
}
