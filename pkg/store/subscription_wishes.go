package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// WantSubscription has a webhook subscription of the customer created at Virtuous.
func (t *Tx) WantSubscription(ctx context.Context, customer string) error {
	return t.queries.SubscriptionWish(ctx, t.dbtx, customer)
}

// ClaimWantedSubscription returns a customer whose subscription is to be created now, and the number of this attempt; ErrNotFound if there is
// none. No other process gets it before hold has passed.
func (c Conn) ClaimWantedSubscription(ctx context.Context, hold time.Duration) (customer string, attempt int, err error) {
	row, err := c.queries.SubscriptionWishClaimDue(ctx, c.dbtx, hold)
	if err != nil {
		return "", 0, err
	}
	return row.CustomerID, int(row.WebhookAttempts), nil
}

// PostponeWantedSubscription has the subscription created after delay.
func (c Conn) PostponeWantedSubscription(ctx context.Context, customer string, delay time.Duration) error {
	return c.queries.SubscriptionWishPostpone(ctx, c.dbtx, &db.SubscriptionWishPostponeParams{CustomerID: customer, Delay: delay})
}

// EndWantedSubscription notes that the customer has a subscription.
func (c Conn) EndWantedSubscription(ctx context.Context, customer string) error {
	return c.queries.SubscriptionWishEnd(ctx, c.dbtx, customer)
}
