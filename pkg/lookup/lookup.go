// Package lookup asks VOMO about single users by id, and judges the answers.
//
// It owns what an answer about one user says: of the user, or of VOMO as a whole. It promises that a user counts as not found
// only if VOMO answered 404 for it, and that a fault of VOMO, of the token or of ours is an error that says nothing about any user.
// It writes nothing, and does not decide what follows from an answer.
package lookup

import (
	"context"
	"errors"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

// Outcome is what VOMO says about a user.
type Outcome int

const (
	// Unknown: VOMO works, and does not return this user. Answer.Code says in which way.
	Unknown Outcome = iota
	// Found: VOMO returned the user, in Answer.Detail.
	Found
	// Partial: VOMO has the user, and does not return it whole by id.
	Partial
	// NotFound: VOMO answered 404. It has no such user, or hides it from this token.
	NotFound
	// InvalidID: the id cannot be one of VOMO, so it was not asked.
	InvalidID
)

// Codes of users of which VOMO does not say whether it has them.
const (
	CodeForbidden  = "source_forbidden"  // the token may not see this user
	CodeUnreadable = "source_unreadable" // VOMO returns others and not this one
)

// codeUnconfirmed is the connector's code for a rejected token that VOMO accepted when it was asked again.
const codeUnconfirmed = "vomo_auth_unconfirmed"

// Answer is what VOMO says about a user.
type Answer struct {
	Outcome Outcome
	Detail  vomo.Detail
	Code    string // if the outcome is Unknown
	Cause   error  // if the outcome is Unknown: what stopped the request
}

// Reader asks VOMO about users of the customer whose lane its caller holds.
type Reader struct {
	Connect  *connector.Connector
	Customer store.Customer
	Lease    *store.Lease
	Job      string // its name in job_log
	Source   *connector.Source
}

// Ask asks VOMO about a user by id. An error holds for all users: VOMO does not work, it rejects the token, which was confirmed, or
// something of ours failed. Then nothing is known about this user either.
func (r *Reader) Ask(ctx context.Context, id string) (Answer, error) {
	detail, err := r.Source.Client.Detail(ctx, id)
	return r.Judge(ctx, detail, err)
}

// Judge is Ask with what VOMO's client returned for a user, so that users may be read several at once and judged one after the other.
func (r *Reader) Judge(ctx context.Context, detail vomo.Detail, err error) (Answer, error) {
	switch {
	case err == nil:
		return Answer{Outcome: Found, Detail: detail}, r.Source.Answered(ctx)
	case errors.Is(err, vomo.ErrNotFound):
		return Answer{Outcome: NotFound}, r.Source.Answered(ctx)
	case fault.CodeOf(err) == "vomo_id_invalid":
		return Answer{Outcome: InvalidID}, nil
	case errors.Is(err, vomo.ErrPartialDetail):
		return Answer{Outcome: Partial}, r.Source.Answered(ctx)
	}
	code, stopped := r.CodeForOne(ctx, err)
	if stopped != nil {
		return Answer{}, stopped
	}
	return Answer{Outcome: Unknown, Code: code, Cause: err}, nil
}

// CodeForOne finds out, after VOMO did not return a user, whether it returns others. Then code says what is wrong with this user.
// Otherwise stopped is the error that holds for all users; a rejected token was confirmed.
func (r *Reader) CodeForOne(ctx context.Context, err error) (code string, stopped error) {
	switch {
	case !isAnswerOfVomo(ctx, err):
		return "", err
	case errors.Is(err, vomo.ErrUnauthorized), errors.Is(err, vomo.ErrForbidden):
		if confirmed := r.Connect.Confirm(ctx, r.Customer, r.Lease, r.Job, err); fault.CodeOf(confirmed) != codeUnconfirmed {
			return "", confirmed
		}
		return CodeForbidden, nil // the token works: it may not see this user
	}
	if _, probe := r.Source.Client.Probe(ctx); probe != nil {
		return "", err
	}
	return CodeUnreadable, nil
}

// isAnswerOfVomo reports whether the error is VOMO's answer about a user, and neither its throttling nor a fault of ours.
func isAnswerOfVomo(ctx context.Context, err error) bool {
	switch {
	case ctx.Err() != nil, fault.KindOf(err) == fault.KindThrottled, errors.Is(err, store.ErrLaneLost),
		errors.Is(err, connector.ErrNoCredential), errors.Is(err, vault.ErrKeyGone):
		return false
	}
	return fault.CodeOf(err) != "internal"
}
