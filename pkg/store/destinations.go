package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// HoldDestination notes that the customer's destination asked to be left alone for that long.
func (t *Tx) HoldDestination(ctx context.Context, customer string, delay time.Duration) error {
	return t.later("hold destination", func(on db.DBTX) error {
		return t.queries.DestinationHoldLater(ctx, on, &db.DestinationHoldLaterParams{CustomerID: customer, Delay: delay})
	})
}

// DestinationHold is for how long the customer's destination is still to be left alone, 0 if it may be asked.
func (c Conn) DestinationHold(ctx context.Context, customer string) (time.Duration, error) {
	left, err := c.queries.DestinationHoldLeft(ctx, c.dbtx, customer)
	if noRows(err) {
		return 0, nil
	}
	return left, wrap("read destination's hold", err)
}
