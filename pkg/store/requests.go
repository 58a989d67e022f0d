package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
	"rollcall.dev/pkg/telemetry"
)

// RequestState is the state of an onboarding request.
type RequestState string

// States of an onboarding request. All but pending are final.
const (
	RequestPending    RequestState = "pending"
	RequestApplied    RequestState = "applied"
	RequestDuplicate  RequestState = "duplicate"
	RequestSuperseded RequestState = "superseded"
	RequestRejected   RequestState = "rejected"
)

// Origin identifies a message for ever. Sequences start again in a new stream, so the stream's creation time is part of it.
type Origin struct {
	StreamCreated time.Time
	Sequence      uint64
}

// column returns the sequence as a column has it. No sequence reaches 2^63.
func (o Origin) column() int64 { return int64(o.Sequence) } //nolint:gosec // see above

// Sides are the sides of a customer that a request is about. Requests about different sides do not replace one another.
type Sides struct {
	Mirror bool // of VOMO, in a destination
	Giving bool // donations into Virtuous
}

// BothSides is what an offboarding is about.
func BothSides() Sides { return Sides{Mirror: true, Giving: true} }

// Without returns the sides that are not in other.
func (s Sides) Without(other Sides) Sides {
	return Sides{Mirror: s.Mirror && !other.Mirror, Giving: s.Giving && !other.Giving}
}

// None reports whether there is no side.
func (s Sides) None() bool { return s == Sides{} }

// PendingRequest is a due request that the caller has claimed for a time.
type PendingRequest struct {
	ID            int64
	Origin        Origin
	Customer      string
	Request       []byte // protobuf JSON without any secret
	SealedSecrets []byte
	Attempts      int
	DelayNotified bool
	Sides         Sides
	TraceParent   string // "": the message was not traced
}

// RequestOutcome is what an operator may see of a request.
type RequestOutcome struct {
	Customer   string
	State      RequestState
	Errors     []byte // JSON: by field, lists of texts; nil if there are none
	Attempts   int
	ReceivedAt time.Time
	SettledAt  *time.Time
}

// AddPendingRequest stores a valid request; added is false if the message was stored before.
func (t *Tx) AddPendingRequest(ctx context.Context, origin Origin, customer string, sides Sides, request, sealedSecrets []byte,
) (id int64, added bool, err error) {
	id, err = t.queries.RequestInsertPendingIfNew(ctx, t.dbtx, &db.RequestInsertPendingIfNewParams{
		StreamCreated: origin.StreamCreated, StreamSeq: origin.column(),
		CustomerID: customer, Request: request, SealedSecrets: sealedSecrets, Mirror: sides.Mirror, Giving: sides.Giving,
		TraceParent: given(telemetry.Sampled(ctx)),
	})
	added, err = found(err)
	return id, added, err
}

// AddRejectedRequest stores a rejected message with its errors; added is false if the message was stored before.
func (t *Tx) AddRejectedRequest(ctx context.Context, origin Origin, customer string, errs []byte) (added bool, err error) {
	_, err = t.queries.RequestInsertRejectedIfNew(ctx, t.dbtx, &db.RequestInsertRejectedIfNewParams{
		StreamCreated: origin.StreamCreated, StreamSeq: origin.column(),
		CustomerID: customer, Errors: errs,
	})
	return found(err)
}

// ClaimDueRequest claims the next due request for hold; ErrNotFound if none is due. Of several requests about the same side of one
// customer it returns only the newest.
func (c Conn) ClaimDueRequest(ctx context.Context, hold time.Duration) (PendingRequest, error) {
	row, err := c.queries.RequestClaimDue(ctx, c.dbtx, hold)
	if err != nil {
		return PendingRequest{}, err
	}
	return PendingRequest{
		ID: row.ID, Origin: Origin{StreamCreated: row.StreamCreated, Sequence: uint64(row.StreamSeq)}, //nolint:gosec // never negative
		Customer: row.CustomerID, Request: row.Request, SealedSecrets: row.SealedSecrets,
		Attempts: int(row.Attempts), DelayNotified: row.DelayNotified, Sides: Sides{Mirror: row.Mirror, Giving: row.Giving},
		TraceParent: row.TraceParent,
	}, nil
}

// SettleRequest ends a pending request and deletes its secrets; settled is false if it was ended before.
func (t *Tx) SettleRequest(ctx context.Context, id int64, state RequestState, errs []byte) (settled bool, err error) {
	changed, err := t.queries.RequestSettleIfPending(ctx, t.dbtx, &db.RequestSettleIfPendingParams{ID: id, State: string(state), Errors: errs})
	return changed > 0, err
}

// DelayRequest puts a pending request off.
func (t *Tx) DelayRequest(ctx context.Context, id int64, delay time.Duration) (delayed bool, err error) {
	changed, err := t.queries.RequestDelayIfPending(ctx, t.dbtx, &db.RequestDelayIfPendingParams{ID: id, Delay: delay})
	return changed > 0, err
}

// ReplaceRequestSecrets stores other secrets with a pending request; replaced is false if it is not pending any more.
func (t *Tx) ReplaceRequestSecrets(ctx context.Context, id int64, sealedSecrets []byte) (replaced bool, err error) {
	changed, err := t.queries.RequestReplaceSecretsIfPending(ctx, t.dbtx, &db.RequestReplaceSecretsIfPendingParams{ID: id, SealedSecrets: sealedSecrets})
	return changed > 0, err
}

// GiveBackRequest makes a claimed request due again after delay.
func (c Conn) GiveBackRequest(ctx context.Context, id int64, delay time.Duration) error {
	return c.queries.RequestGiveBackIfPending(ctx, c.dbtx, &db.RequestGiveBackIfPendingParams{ID: id, Delay: delay})
}

// SupersedeOlderRequests ends the customer's pending requests that are older than origin, and about no other side than these.
func (t *Tx) SupersedeOlderRequests(ctx context.Context, customer string, sides Sides, origin Origin) error {
	_, err := t.queries.RequestSupersedeOlder(ctx, t.dbtx, &db.RequestSupersedeOlderParams{
		CustomerID: customer, StreamCreated: origin.StreamCreated, StreamSeq: origin.column(), Mirror: sides.Mirror, Giving: sides.Giving,
	})
	return err
}

// SupersedeAllRequests ends all pending requests of the customer.
func (t *Tx) SupersedeAllRequests(ctx context.Context, customer string) error {
	_, err := t.queries.RequestSupersedeAll(ctx, t.dbtx, customer)
	return err
}

// RequestAppliedAfter returns of which sides a later request than origin was applied: an older request must not undo it.
func (c Conn) RequestAppliedAfter(ctx context.Context, customer string, origin Origin) (Sides, error) {
	row, err := c.queries.RequestAppliedAfter(ctx, c.dbtx, &db.RequestAppliedAfterParams{
		CustomerID: customer, StreamCreated: origin.StreamCreated, StreamSeq: origin.column(),
	})
	if err != nil {
		return Sides{}, err
	}
	return Sides{Mirror: row.Mirror, Giving: row.Giving}, nil
}

// RequestOutcome returns the outcome of the message of origin; ErrNotFound if it was never stored.
func (c Conn) RequestOutcome(ctx context.Context, origin Origin) (RequestOutcome, error) {
	row, err := c.queries.RequestGetBySequence(ctx, c.dbtx, &db.RequestGetBySequenceParams{
		StreamCreated: origin.StreamCreated, StreamSeq: origin.column(),
	})
	if err != nil {
		return RequestOutcome{}, err
	}
	return RequestOutcome{
		Customer: row.CustomerID, State: RequestState(row.State), Errors: row.Errors, Attempts: int(row.Attempts),
		ReceivedAt: row.ReceivedAt, SettledAt: row.SettledAt,
	}, nil
}

// MessageAttempt is one attempt at a message.
type MessageAttempt struct {
	Origin string // identifies the message, as a letter's: stream, its creation time and the sequence
	ID     uuid.UUID
}

// BeginAttempt stores an attempt before its work begins, and deletes the ended ones. unended is how many other attempts of the same
// message have not ended.
func (c Conn) BeginAttempt(ctx context.Context, attempt MessageAttempt, ended []MessageAttempt) (unended int64, err error) {
	params := &db.AttemptBeginParams{Origin: attempt.Origin, Attempt: attempt.ID, EndedOrigins: []string{}, Ended: []uuid.UUID{}}
	for _, one := range ended {
		params.EndedOrigins = append(params.EndedOrigins, one.Origin)
		params.Ended = append(params.Ended, one.ID)
	}
	return c.queries.AttemptBegin(ctx, c.dbtx, params)
}
