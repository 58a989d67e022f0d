package destination

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/fault"
)

// ErrAuth says that the destination refuses us (401, 403), whatever the record: the job parks and nothing
// is held against a user.
var ErrAuth = fault.Unknown("destination_auth_failed", errors.New("the destination refuses our credential"))

// ErrForbidden is ErrAuth for a 403, which may be about one record: some destinations let us write most records and not
// this one. The caller has to find out which.
var ErrForbidden = fmt.Errorf("the record or the credential is forbidden: %w", ErrAuth)

// ErrUnclear says that the destination answered with a status of success and a body that does not say whether it accepted the
// record. It is the destination's fault: the record does not decide it.
var ErrUnclear = fault.Unknown("destination_unclear_answer", errors.New("it is not known whether the destination took the record"))

// ErrRedirect says that the destination answered with a redirect, which is not followed: its URL has to be configured
// anew, whatever the record.
var ErrRedirect = fault.Unknown("destination_redirect", errors.New("a redirect is not followed: configure the final URL"))

// ErrOpen says that the circuit breaker is open and the request was not made: the destination failed too
// often in a row. Where an attempt of the same call failed before, that failure stands in the chain too.
var ErrOpen = fault.Unknown("destination_open", errors.New("the destination's circuit breaker is open"))

// ErrHostSilent says that the destination's host answers no customer and that the request was not made: another one asks
// for all. It is the destination's fault, whatever the record.
var ErrHostSilent = fault.Unknown("destination_host_silent", errors.New("the destination's host answers none of several customers: "+
	"nothing is sent until one request, which is made for all of them, is answered"))

// ErrHeld says that GuardConfig.Before or Leave did not let the request out; its own error stands in the chain.
// It says nothing of the destination or of the record.
var ErrHeld = errors.New("the request was held back")

// errNoBatches is a mistake of the caller, who did not ask BatchSize.
var errNoBatches = fault.Permanent("destination_no_batches", errors.New("the destination takes records one by one"))

const maxCode = 64

// Refusal is a destination's answer that it will not take this record, for good: trying the same record
// again is useless, other records may fare well. It never holds the text of the answer, which may quote the
// person. Its fault kind is permanent, with the code destination_refused.
type Refusal struct {
	Status int    // the HTTP status, 0 where the record was refused before it was sent
	Code   string // the destination's own word, or "http_422": at most 64 of a-z 0-9 _ . -
}

// NewRefusal gives the refusal with that status. A code from outside is kept only when it is one short word;
// otherwise the status stands in for it, so that no sentence about a person comes along.
func NewRefusal(status int, code string) *Refusal {
	if !isWord(code) {
		code = fmt.Sprintf("http_%d", status)
	}
	return &Refusal{Status: status, Code: code}
}

// Error names status and code.
func (r *Refusal) Error() string {
	return fmt.Sprintf("the destination refused the record: status %d, code %s", r.Status, r.Code)
}

// Unwrap lets fault.KindOf see a permanent fault. The destination's own word stays out of the fault's code,
// which ends up in metrics and must not come from outside.
func (r *Refusal) Unwrap() error { return fault.Permanent("destination_refused", nil) }

// Retryable tells whether err is a failure of the destination that a later attempt may not meet: a pause
// that it asked for, a 5xx, a timeout, an open breaker, and every error that is not named here. It is false
// for nil, a *Refusal, ErrAuth, ErrNotPublic, ErrHeld, a permanent fault, and for the end of the caller's own context.
func Retryable(err error) bool {
	switch {
	case err == nil,
		errors.Is(err, ErrAuth),
		errors.Is(err, ErrNotPublic),
		errors.Is(err, ErrHeld),
		errors.Is(err, context.Canceled),
		errors.Is(err, context.DeadlineExceeded),
		fault.KindOf(err) == fault.KindPermanent: // a *Refusal is one
		return false
	}
	return true
}

// ThrottledFor gives the pause that the destination asked for, if err says so and the pause is longer than a Guard waits
// in place: the work has to be parked for it.
func ThrottledFor(err error) (pause time.Duration, throttled bool) {
	pause, named := fault.After(err)
	return pause, named && (pause > longestWait || errors.Is(err, ErrHeld))
}

// isWord tells whether s is a machine's word and not a sentence.
func isWord(s string) bool {
	if s == "" || len(s) > maxCode {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}
