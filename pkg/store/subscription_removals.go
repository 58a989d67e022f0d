package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// RemovableSubscription is a subscription that can be deleted at Virtuous. KeySealed is the key for that, if it is not the customer's.
type RemovableSubscription struct {
	ID        int64
	KeySealed []byte
}

// RemovableSubscriptions locks the customer's subscriptions whose ids are known, and returns them.
func (t *Tx) RemovableSubscriptions(ctx context.Context, customer string) ([]RemovableSubscription, error) {
	rows, err := t.queries.RemovalsOf(ctx, t.dbtx, customer)
	found := make([]RemovableSubscription, 0, len(rows))
	for _, row := range rows {
		found = append(found, RemovableSubscription{ID: row.ID, KeySealed: row.KeySealed})
	}
	return found, err
}

// BeginRemovalWith has a subscription deleted at Virtuous with a key, within an hour.
func (t *Tx) BeginRemovalWith(ctx context.Context, id int64, keySealed []byte) error {
	return t.queries.RemovalBegin(ctx, t.dbtx, &db.RemovalBeginParams{ID: id, KeySealed: keySealed})
}

// SubscriptionRemoval is an attempt to delete a subscription at Virtuous.
type SubscriptionRemoval struct {
	ID         int64
	Customer   string
	VirtuousID int64
	KeySealed  []byte // nil: the customer's key
	Attempts   int
	IsOver     bool // its time is over
}

// ClaimRemoval claims a subscription that is to be deleted now; ErrNotFound if there is none. No other process gets it before hold has passed.
func (c Conn) ClaimRemoval(ctx context.Context, hold time.Duration) (SubscriptionRemoval, error) {
	row, err := c.queries.RemovalClaimDue(ctx, c.dbtx, hold)
	if err != nil {
		return SubscriptionRemoval{}, err
	}
	return SubscriptionRemoval{
		ID: row.ID, Customer: row.CustomerID, VirtuousID: row.VirtuousWebhookID, KeySealed: row.KeySealed, Attempts: int(row.Attempts), IsOver: row.IsOver,
	}, nil
}

// PostponeRemoval has the subscription deleted after delay; code says why it was not.
func (c Conn) PostponeRemoval(ctx context.Context, id int64, delay time.Duration, code string) error {
	return c.queries.RemovalPostpone(ctx, c.dbtx, &db.RemovalPostponeParams{ID: id, Delay: delay, LastError: code})
}

// OpenRemovals returns how many subscriptions of the customer are still to be deleted at Virtuous.
func (c Conn) OpenRemovals(ctx context.Context, customer string) (int64, error) {
	return c.queries.RemovalsOpenCount(ctx, c.dbtx, customer)
}
