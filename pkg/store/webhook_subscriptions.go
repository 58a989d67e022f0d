package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// States of webhook subscriptions.
const (
	SubscriptionRequested = "requested" // it is about to be requested, or its answer is not known
	SubscriptionActive    = "active"
	SubscriptionRemoving  = "removing"
	SubscriptionRemoved   = "removed"
	SubscriptionOrphaned  = "orphaned" // Virtuous may still have it
)

// Subscription is a webhook subscription at Virtuous.
type Subscription struct {
	ID            int64
	Customer      string
	State         string
	VirtuousID    int64 // 0: not known
	PayloadURL    string
	Toggles       []string // that are on
	RequestedAt   time.Time
	CreatedAt     *time.Time
	VerifiedAt    *time.Time
	Differences   []string // of the last verification: names of what differs
	LastError     string
	EndedAt       *time.Time
	RotatingSince *time.Time // a rotation whose end is not known
}

// RequestSubscription notes that a subscription is about to be requested. added is false if the customer has one that is requested or active.
func (t *Tx) RequestSubscription(ctx context.Context, customer, payloadURL string, toggles []string) (id int64, added bool, err error) {
	id, err = t.queries.SubscriptionInsertIfNone(ctx, t.dbtx, &db.SubscriptionInsertIfNoneParams{CustomerID: customer, PayloadUrl: payloadURL, Toggles: toggles})
	if isNotFound(err) {
		return 0, false, nil
	}
	return id, err == nil, err
}

// LoseOldSubscriptions ends subscriptions that were requested longer than two minutes ago and never answered: Virtuous may have them.
func (c Conn) LoseOldSubscriptions(ctx context.Context, customer string) (lost int64, err error) {
	return c.queries.SubscriptionsLoseOld(ctx, c.dbtx, customer)
}

// ActivateSubscription notes that Virtuous has a requested subscription, with its id.
func (c Conn) ActivateSubscription(ctx context.Context, id, virtuousID int64) (changed bool, err error) {
	rows, err := c.queries.SubscriptionActivateIfRequested(ctx, c.dbtx, &db.SubscriptionActivateIfRequestedParams{ID: id, VirtuousWebhookID: virtuousID})
	return rows > 0, err
}

// EndSubscription ends a subscription in the state was: as removed or orphaned.
func (c Conn) EndSubscription(ctx context.Context, id int64, was, state, lastError string) (changed bool, err error) {
	rows, err := c.queries.SubscriptionEndIf(ctx, c.dbtx, &db.SubscriptionEndIfParams{ID: id, Was: was, State: state, LastError: lastError})
	return rows > 0, err
}

// Subscriptions returns up to atMost of the customer's subscriptions, the newest first.
func (c Conn) Subscriptions(ctx context.Context, customer string, atMost int32) ([]Subscription, error) {
	rows, err := c.queries.SubscriptionsOf(ctx, c.dbtx, &db.SubscriptionsOfParams{CustomerID: customer, AtMost: atMost})
	found := make([]Subscription, 0, len(rows))
	for _, row := range rows {
		found = append(found, Subscription{
			ID: row.ID, Customer: row.CustomerID, State: row.State, VirtuousID: row.VirtuousWebhookID, PayloadURL: row.PayloadUrl, Toggles: row.Toggles,
			RequestedAt: row.RequestedAt, CreatedAt: row.CreatedAt, VerifiedAt: row.VerifiedAt, Differences: row.Differences, LastError: row.LastError,
			EndedAt: row.EndedAt, RotatingSince: row.RotatingSince,
		})
	}
	return found, err
}

// LockSubscription reads and locks the customer's requested or active subscription; ErrNotFound if there is none. Only its id, its state,
// and whether it is being rotated are filled in.
func (t *Tx) LockSubscription(ctx context.Context, customer string) (Subscription, error) {
	row, err := t.queries.SubscriptionOpenLock(ctx, t.dbtx, customer)
	if err != nil {
		return Subscription{}, err
	}
	return Subscription{ID: row.ID, Customer: customer, State: row.State, VirtuousID: row.VirtuousWebhookID, RotatingSince: row.RotatingSince}, nil
}

// NoteSubscriptionVerified notes that a subscription was compared, and what differs.
func (c Conn) NoteSubscriptionVerified(ctx context.Context, id int64, differences []string) error {
	return c.queries.SubscriptionNoteVerified(ctx, c.dbtx, &db.SubscriptionNoteVerifiedParams{ID: id, Differences: differences})
}

// BeginRotation notes that an active subscription gets another secret. Until EndRotation the secret before is valid. If there is none before
// delay has passed, ClaimRotation returns the rotation.
func (t *Tx) BeginRotation(ctx context.Context, id int64, delay time.Duration) (since time.Time, err error) {
	return t.queries.SubscriptionRotateBegin(ctx, t.dbtx, &db.SubscriptionRotateBeginParams{ID: id, Delay: delay})
}

// Rotation is a rotation whose end is not known.
type Rotation struct {
	ID       int64 // of the subscription
	Customer string
	Attempt  int
}

// ClaimRotation returns a rotation that is to be continued now; ErrNotFound if there is none. No other process gets it before hold has passed.
func (c Conn) ClaimRotation(ctx context.Context, hold time.Duration) (Rotation, error) {
	row, err := c.queries.SubscriptionRotateClaimDue(ctx, c.dbtx, hold)
	if err != nil {
		return Rotation{}, err
	}
	return Rotation{ID: row.ID, Customer: row.CustomerID, Attempt: int(row.Attempts)}, nil
}

// PostponeRotation has a rotation continued after delay.
func (c Conn) PostponeRotation(ctx context.Context, id int64, delay time.Duration, lastError string) error {
	return c.queries.SubscriptionRotatePostpone(ctx, c.dbtx, &db.SubscriptionRotatePostponeParams{ID: id, Delay: delay, LastError: lastError})
}

// EndRotation notes that Virtuous has the secret of the rotation that began then, and the subscription as it was sent. The secret before is
// valid for another day.
func (c Conn) EndRotation(ctx context.Context, sub Subscription, began time.Time) (changed bool, err error) {
	rows, err := c.queries.SubscriptionRotateEnd(ctx, c.dbtx, &db.SubscriptionRotateEndParams{
		CustomerID: sub.Customer, ID: sub.ID, PayloadUrl: sub.PayloadURL, Toggles: sub.Toggles, BeganAt: began,
	})
	return rows > 0, err
}

// BeginRemoval notes that the customer's active subscription is about to be deleted at Virtuous.
func (t *Tx) BeginRemoval(ctx context.Context, customer string) (begun bool, err error) {
	rows, err := t.queries.SubscriptionRemoveBegin(ctx, t.dbtx, customer)
	return rows > 0, err
}

// NoteRemovalFailed notes an attempt to delete a subscription that did not succeed.
func (c Conn) NoteRemovalFailed(ctx context.Context, id int64, lastError string) error {
	return c.queries.SubscriptionRemoveFailed(ctx, c.dbtx, &db.SubscriptionRemoveFailedParams{ID: id, LastError: lastError})
}

// Replay is a batch of parts of deliveries that are applied again.
type Replay struct {
	Seen           int64 // parts of the batch; those that wait, or became letters, are passed over
	Parts, Records int64
	LastAt         time.Time // after which the next batch begins
	LastID         int64
}

// ReplayInbox has up to atMost parts that were received until a time applied again, from the end of the batch before on.
func (t *Tx) ReplayInbox(ctx context.Context, customer string, after Replay, until time.Time, atMost int32) (Replay, error) {
	row, err := t.queries.InboxReplay(ctx, t.dbtx, &db.InboxReplayParams{
		CustomerID: customer, AfterAt: after.LastAt, AfterID: after.LastID, Until: until, AtMost: atMost,
	})
	if err != nil {
		return Replay{}, err
	}
	return Replay{Seen: row.Seen, Parts: row.Parts, Records: row.Records, LastAt: row.LastAt, LastID: row.LastID}, nil
}
