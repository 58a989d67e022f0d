package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// RequestState is what became of an onboarding request.
type RequestState string

// The states of an onboarding request; all but pending are final.
const (
	RequestPending    RequestState = "pending"
	RequestApplied    RequestState = "applied"
	RequestDuplicate  RequestState = "duplicate"
	RequestSuperseded RequestState = "superseded"
	RequestRejected   RequestState = "rejected"
)

// Origin names a message for ever: sequences start again in a new stream, its creation time does not.
type Origin struct {
	StreamCreated time.Time
	Sequence      uint64
}

// PendingRequest is a request that is due, claimed by the caller for a while.
type PendingRequest struct {
	ID            int64
	Origin        Origin
	Customer      string
	Request       []byte // protobuf JSON without any secret
	SealedSecrets []byte
	Attempts      int
	DelayNotified bool
}

// RequestOutcome is what an operator may know of a request.
type RequestOutcome struct {
	Customer   string
	State      RequestState
	Errors     []byte // JSON: by field, lists of texts; nil where there are none
	Attempts   int
	ReceivedAt time.Time
	SettledAt  *time.Time
}

// AddPendingRequest stores a request that validates; added is false for a message that is known already.
func (t *Tx) AddPendingRequest(ctx context.Context, origin Origin, customer string, request, sealedSecrets []byte) (id int64, added bool, err error) {
	id, err = t.queries.RequestInsertPendingIfNew(ctx, t.dbtx, &db.RequestInsertPendingIfNewParams{
		StreamCreated: origin.StreamCreated, StreamSeq: int64(origin.Sequence), //nolint:gosec // sequences never reach 2^63
		CustomerID: customer, Request: request, SealedSecrets: sealedSecrets,
	})
	added, err = inserted(err, "add pending request")
	return id, added, err
}

// AddRejectedRequest stores a refused message with its errors; added is false for one that is known already.
func (t *Tx) AddRejectedRequest(ctx context.Context, origin Origin, customer string, errs []byte) (added bool, err error) {
	_, err = t.queries.RequestInsertRejectedIfNew(ctx, t.dbtx, &db.RequestInsertRejectedIfNewParams{
		StreamCreated: origin.StreamCreated, StreamSeq: int64(origin.Sequence), //nolint:gosec // sequences never reach 2^63
		CustomerID: customer, Errors: errs,
	})
	return inserted(err, "add rejected request")
}

func inserted(err error, operation string) (bool, error) {
	if noRows(err) {
		return false, nil
	}
	return err == nil, wrap(operation, err)
}

// ClaimDueRequest takes the next due request and keeps others away from it for hold; ErrNotFound where none
// is due. Of several requests of one customer only the newest is handed out.
func (c Conn) ClaimDueRequest(ctx context.Context, hold time.Duration) (PendingRequest, error) {
	row, err := c.queries.RequestClaimDue(ctx, c.dbtx, hold)
	if err != nil {
		return PendingRequest{}, wrap("claim due request", err)
	}
	return PendingRequest{
		ID: row.ID, Origin: Origin{StreamCreated: row.StreamCreated, Sequence: uint64(row.StreamSeq)}, //nolint:gosec // never negative
		Customer: row.CustomerID, Request: row.Request, SealedSecrets: row.SealedSecrets,
		Attempts: int(row.Attempts), DelayNotified: row.DelayedTold,
	}, nil
}

// SettleRequest ends a pending request and forgets its secrets; settled is false where it was ended before.
func (t *Tx) SettleRequest(ctx context.Context, id int64, state RequestState, errs []byte) (settled bool, err error) {
	changed, err := t.queries.RequestSettleIfPending(ctx, t.dbtx, &db.RequestSettleIfPendingParams{ID: id, State: string(state), Errors: errs})
	return changed > 0, wrap("settle request", err)
}

// DelayRequest puts a pending request off.
func (t *Tx) DelayRequest(ctx context.Context, id int64, delay time.Duration) (delayed bool, err error) {
	changed, err := t.queries.RequestDelayIfPending(ctx, t.dbtx, &db.RequestDelayIfPendingParams{ID: id, Delay: delay})
	return changed > 0, wrap("delay request", err)
}

// GiveBackRequest makes a claimed request due again after delay.
func (c Conn) GiveBackRequest(ctx context.Context, id int64, delay time.Duration) error {
	return wrap("give request back", c.queries.RequestGiveBackIfPending(ctx, c.dbtx, &db.RequestGiveBackIfPendingParams{ID: id, Delay: delay}))
}

// SupersedeOlderRequests ends what the customer had asked for before origin and is still pending.
func (t *Tx) SupersedeOlderRequests(ctx context.Context, customer string, origin Origin) error {
	_, err := t.queries.RequestSupersedeOlder(ctx, t.dbtx, &db.RequestSupersedeOlderParams{
		CustomerID: customer, StreamCreated: origin.StreamCreated, StreamSeq: int64(origin.Sequence), //nolint:gosec // sequences never reach 2^63
	})
	return wrap("supersede older requests", err)
}

// SupersedeAllRequests ends everything of the customer that is still pending.
func (t *Tx) SupersedeAllRequests(ctx context.Context, customer string) error {
	_, err := t.queries.RequestSupersedeAll(ctx, t.dbtx, customer)
	return wrap("supersede requests", err)
}

// RequestAppliedAfter says whether a later request than origin was applied: an older one must not undo it.
func (t *Tx) RequestAppliedAfter(ctx context.Context, customer string, origin Origin) (bool, error) {
	applied, err := t.queries.RequestAppliedAfter(ctx, t.dbtx, &db.RequestAppliedAfterParams{
		CustomerID: customer, StreamCreated: origin.StreamCreated, StreamSeq: int64(origin.Sequence), //nolint:gosec // sequences never reach 2^63
	})
	return applied, wrap("look for later requests", err)
}

// RequestOutcome tells what became of the message of origin; ErrNotFound where it was never seen.
func (c Conn) RequestOutcome(ctx context.Context, origin Origin) (RequestOutcome, error) {
	row, err := c.queries.RequestGetBySequence(ctx, c.dbtx, &db.RequestGetBySequenceParams{
		StreamCreated: origin.StreamCreated, StreamSeq: int64(origin.Sequence), //nolint:gosec // sequences never reach 2^63
	})
	if err != nil {
		return RequestOutcome{}, wrap("read request", err)
	}
	return RequestOutcome{
		Customer: row.CustomerID, State: RequestState(row.State), Errors: row.Errors, Attempts: int(row.Attempts),
		ReceivedAt: row.ReceivedAt, SettledAt: row.SettledAt,
	}, nil
}
