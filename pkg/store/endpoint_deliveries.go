package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// EndpointEvent is an event or alert that endpoints are to get.
type EndpointEvent struct {
	ID       string // of the message
	Customer string
	Topic    string
	Matches  []string // topics of an endpoint that wants it
	Body     []byte
	RetryFor time.Duration
}

// AddDeliveries adds a delivery for each endpoint that wants the event, and returns how many are to be sent. An event that is added again
// changes nothing. A disabled endpoint gets a failed delivery, which can be replayed.
func (c Conn) AddDeliveries(ctx context.Context, event EndpointEvent) (added int64, err error) {
	return c.queries.EndpointDeliveriesInsert(ctx, c.dbtx, &db.EndpointDeliveriesInsertParams{
		Customer: event.Customer, Topics: event.Matches, EventID: event.ID, Topic: event.Topic, Body: event.Body, RetryFor: event.RetryFor,
	})
}

// EndpointClaim is the right of one process to send to an endpoint for a time.
type EndpointClaim struct {
	ID       int64
	Customer string
	Secrets  EndpointSecrets
	Failures int // since the last success

	number int64
}

// ClaimEndpoint returns an endpoint to which something is to be sent now; ErrNotFound if there is none. No other process gets it before hold
// has passed, unless it is released.
func (c Conn) ClaimEndpoint(ctx context.Context, hold time.Duration) (EndpointClaim, error) {
	row, err := c.queries.EndpointClaimDue(ctx, c.dbtx, hold)
	if err != nil {
		return EndpointClaim{}, err
	}
	return EndpointClaim{
		ID: row.ID, Customer: row.Customer, Failures: int(row.Failures), number: row.Claim,
		Secrets: EndpointSecrets{URL: row.UrlSealed, Secret: row.SecretSealed, Before: row.SecretBeforeSealed},
	}, nil
}

// ReleaseEndpoint ends a claim. Nothing is sent to the endpoint before pause has passed. It does nothing if another process has claimed the
// endpoint since, or if the endpoint was deleted.
func (t *Tx) ReleaseEndpoint(ctx context.Context, claim EndpointClaim, failures int, pause time.Duration) error {
	if _, err := t.LockEndpoint(ctx, claim.ID); err != nil {
		if isNotFound(err) {
			return nil
		}
		return err
	}
	return t.queries.EndpointRelease(ctx, t.dbtx, &db.EndpointReleaseParams{
		ID: claim.ID, Claim: claim.number, Failures: int32(failures), Pause: pause, //nolint:gosec // a count of attempts
	})
}

// DueDelivery is a delivery that is to be sent now.
type DueDelivery struct {
	ID       uuid.UUID // the webhook-id
	Customer string
	Topic    string
	Body     []byte
	Attempts int // so far
}

// DueDeliveries returns up to atMost deliveries to an endpoint that are to be sent now, the longest due first.
func (c Conn) DueDeliveries(ctx context.Context, endpoint int64, atMost int32) ([]DueDelivery, error) {
	rows, err := c.queries.EndpointDeliveriesDue(ctx, c.dbtx, &db.EndpointDeliveriesDueParams{EndpointID: endpoint, AtMost: atMost})
	due := make([]DueDelivery, 0, len(rows))
	for _, row := range rows {
		due = append(due, DueDelivery{ID: row.ID, Customer: row.CustomerID, Topic: row.Topic, Body: row.Body, Attempts: int(row.Attempts)})
	}
	return due, err
}

// DeliveryAttempt is the outcome of one attempt.
type DeliveryAttempt struct {
	ID           uuid.UUID
	Status       int    // 0: there was no answer
	Error        string // a code; "" after a success
	AnswerSealed []byte
}

// SettleDelivery notes the last attempt at a delivery, which ends in the state. It does nothing if the delivery is not pending any more.
func (c Conn) SettleDelivery(ctx context.Context, attempt DeliveryAttempt, state string) error {
	_, err := c.queries.EndpointDeliverySettle(ctx, c.dbtx, &db.EndpointDeliverySettleParams{
		ID: attempt.ID, State: state, Status: int32(attempt.Status), LastError: attempt.Error, AnswerSealed: attempt.AnswerSealed, //nolint:gosec // three digits
	})
	return err
}

// RetryDelivery notes a failed attempt and has the delivery sent again after delay; failed says that its time has passed and that it is given up.
func (c Conn) RetryDelivery(ctx context.Context, attempt DeliveryAttempt, delay time.Duration) (failed bool, err error) {
	failed, err = c.queries.EndpointDeliveryRetry(ctx, c.dbtx, &db.EndpointDeliveryRetryParams{
		ID: attempt.ID, Status: int32(attempt.Status), LastError: attempt.Error, AnswerSealed: attempt.AnswerSealed, Delay: delay, //nolint:gosec // three digits
	})
	if isNotFound(err) {
		return false, nil // it was settled, or deleted with its endpoint
	}
	return failed, err
}

// EndpointDelivery is a line of an endpoint's deliveries.
type EndpointDelivery struct {
	ID            uuid.UUID
	EventID       string
	Customer      string
	Topic         string
	State         string
	Attempts      int
	NextAttemptAt *time.Time
	RetryUntil    time.Time
	LastAttemptAt *time.Time
	LastStatus    int // 0: there was no answer
	LastError     string
	AnswerSealed  []byte
	CreatedAt     time.Time
	SettledAt     *time.Time
}

// DeliveryPlace is the place of a delivery in an endpoint's list.
type DeliveryPlace struct {
	At time.Time
	ID uuid.UUID
}

// Deliveries returns up to atMost of an endpoint's deliveries before a place, the newest first; state "" means any.
func (c Conn) Deliveries(ctx context.Context, endpoint int64, state string, before DeliveryPlace, atMost int32) ([]EndpointDelivery, error) {
	rows, err := c.queries.EndpointDeliveriesPage(ctx, c.dbtx, &db.EndpointDeliveriesPageParams{
		EndpointID: endpoint, State: state, BeforeAt: before.At, BeforeID: before.ID, AtMost: atMost,
	})
	found := make([]EndpointDelivery, 0, len(rows))
	for _, row := range rows {
		found = append(found, EndpointDelivery{
			ID: row.ID, EventID: row.EventID, Customer: row.CustomerID, Topic: row.Topic, State: row.State, Attempts: int(row.Attempts),
			NextAttemptAt: row.NextAttemptAt, RetryUntil: row.RetryUntil, LastAttemptAt: row.LastAttemptAt, LastStatus: int(row.LastStatus),
			LastError: row.LastError, AnswerSealed: row.AnswerSealed, CreatedAt: row.CreatedAt, SettledAt: row.SettledAt,
		})
	}
	return found, err
}

// ReplayedDeliveries is a batch of deliveries that are sent again.
type ReplayedDeliveries struct {
	Seen     int64 // those that are pending are passed over
	Replayed int64
	Last     DeliveryPlace // after which the next batch begins
}

// ReplayDeliveries has up to atMost settled deliveries after a place sent again under their ids, for retryFor at most. The caller has locked the
// endpoint.
func (t *Tx) ReplayDeliveries(
	ctx context.Context, endpoint LockedEndpoint, after DeliveryPlace, retryFor time.Duration, atMost int32,
) (ReplayedDeliveries, error) {
	row, err := t.queries.EndpointDeliveriesReplay(ctx, t.dbtx, &db.EndpointDeliveriesReplayParams{
		EndpointID: endpoint.ID, AfterAt: after.At, AfterID: after.ID, AtMost: atMost, RetryFor: retryFor,
	})
	if err != nil {
		return ReplayedDeliveries{}, err
	}
	return ReplayedDeliveries{Seen: row.Seen, Replayed: row.Replayed, Last: DeliveryPlace{At: row.LastAt, ID: row.LastID}}, nil
}

// PendingDeliveries returns how many deliveries are to be sent, at most 100,000, and for how long the endpoint that is due longest has been due.
func (c Conn) PendingDeliveries(ctx context.Context) (pending int64, overdue time.Duration, err error) {
	row, err := c.queries.EndpointsPending(ctx, c.dbtx)
	if err != nil {
		return 0, 0, err
	}
	return row.Pending, time.Duration(row.OverdueSeconds * float64(time.Second)), nil
}

// ForgetDeliveries deletes up to atMost deliveries to endpoints that were settled before age. It returns how many it deleted.
func (c Conn) ForgetDeliveries(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.EndpointDeliveriesForget(ctx, c.dbtx, &db.EndpointDeliveriesForgetParams{Age: age, AtMost: atMost})
}
