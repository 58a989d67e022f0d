package destination

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall.dev/pkg/fault"
)

// ErrAuth means that the destination rejects the credential (401, 403), whatever the record: the job parks and no
// user gets a letter.
var ErrAuth = fault.Unknown("destination_auth_failed", errors.New("the destination refuses our credential"))

// ErrForbidden is ErrAuth for a 403, which may be about one record: some destinations accept most records and not
// this one. The caller has to find out which it is.
var ErrForbidden = fmt.Errorf("the record or the credential is forbidden: %w", ErrAuth)

// ErrUnclear means that the destination answered with a status of success and a body that does not say whether it
// accepted the record. It is a failure of the destination, whatever the record.
var ErrUnclear = fault.Unknown("destination_unclear_answer", errors.New("it is not known whether the destination took the record"))

// ErrRedirect means that the destination answered with a redirect, which is not followed: its URL has to be
// configured again, whatever the record.
var ErrRedirect = fault.Unknown("destination_redirect", errors.New("a redirect is not followed: configure the final URL"))

// ErrOpen means that the circuit breaker is open and the request was not sent: the destination failed too often in a
// row. If an earlier attempt of the same call failed, that failure is in the chain too.
var ErrOpen = fault.Unknown("destination_open", errors.New("the destination's circuit breaker is open"))

// ErrHostSilent means that the destination's host answers no customer and that the request was not sent: another
// request probes the host for all. It is a failure of the destination, whatever the record.
var ErrHostSilent = fault.Unknown("destination_host_silent", errors.New("the destination's host answers none of several customers: "+
	"nothing is sent until one request, which is made for all of them, is answered"))

// ErrHeld means that GuardConfig.Before or SendCheck did not allow the request to be sent; their error is in the chain.
// It says nothing about the destination or the record.
var ErrHeld = errors.New("the request was held back")

// errNoBatches is a mistake of a caller that did not check BatchSize.
var errNoBatches = fault.Permanent("destination_no_batches", errors.New("the destination accepts records one by one"))

const maxCode = 64

// Rejection is a destination's permanent rejection of one record: trying the same record again is useless, other
// records may be accepted. It never holds the text of the answer, which may quote personal data. Its fault kind is
// permanent, with the code destination_refused.
type Rejection struct {
	Status int    // the HTTP status, 0 if the record was rejected before it was sent
	Code   string // the destination's own code, or "http_422": at most 64 of a-z 0-9 _ . -
}

// NewRejection returns a Rejection with that status. A code from outside is kept only if it is one short word; otherwise
// the status replaces it, so that no sentence about a person is kept.
func NewRejection(status int, code string) *Rejection {
	if !isWord(code) {
		code = fmt.Sprintf("http_%d", status)
	}
	return &Rejection{Status: status, Code: code}
}

// Error returns status and code.
func (r *Rejection) Error() string {
	return fmt.Sprintf("the destination rejected the record: status %d, code %s", r.Status, r.Code)
}

// Unwrap makes fault.KindOf return permanent. The destination's own code is not the fault's code, because fault codes
// end up in metrics and must not come from outside.
func (r *Rejection) Unwrap() error { return fault.Permanent("destination_refused", nil) }

// Retryable reports whether err is a failure of the destination that may be gone at a later attempt: a pause that it
// asked for, a 5xx, a timeout, an open breaker, and every error that is not named here. It is false for nil, a
// *Rejection, ErrAuth, ErrNotPublic, ErrHeld, a permanent fault, and the end of the caller's own context.
func Retryable(err error) bool {
	switch {
	case err == nil,
		errors.Is(err, ErrAuth),
		errors.Is(err, ErrNotPublic),
		errors.Is(err, ErrHeld),
		errors.Is(err, context.Canceled),
		errors.Is(err, context.DeadlineExceeded),
		fault.KindOf(err) == fault.KindPermanent: // a *Rejection is one
		return false
	}
	return true
}

// ThrottledFor returns the pause that the destination asked for, if err has one that is longer than a Guard waits
// itself: the work has to be parked for it.
func ThrottledFor(err error) (pause time.Duration, throttled bool) {
	pause, named := fault.After(err)
	return pause, named && (pause > longestWait || errors.Is(err, ErrHeld))
}

// isWord reports whether s is a machine-readable word and not a sentence.
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

// maxAnswer is how many bytes of an answer are kept: enough for what an API says about one record.
const maxAnswer = 2 << 10

// Answer is a destination's answer when it rejected a record. It may quote personal data, so an Answer is sealed
// before it is stored, and it is never part of an error's text.
type Answer struct {
	Status int    `json:"status"` // the HTTP status
	Text   string `json:"text"`   // the first 2 KiB of the body
}

// answeredError is a failure together with the answer that it came from.
type answeredError struct {
	err    error
	answer Answer
}

func (e *answeredError) Error() string { return e.err.Error() }
func (e *answeredError) Unwrap() error { return e.err }

// GoString is used by %#v, which would otherwise print the answer.
func (e *answeredError) GoString() string { return e.err.Error() }

// WithAnswer returns err with the destination's answer attached. Only AnswerOf returns the answer; no text of the
// error contains it. An empty body attaches nothing, and nil stays nil.
func WithAnswer(err error, status int, body []byte) error {
	text := strings.ToValidUTF8(strings.ReplaceAll(string(body[:min(len(body), maxAnswer)]), "\x00", ""), "")
	if err == nil || strings.TrimSpace(text) == "" {
		return err
	}
	return &answeredError{err: err, answer: Answer{Status: status, Text: text}}
}

// AnswerOf returns the answer in err's chain, and whether there is one.
func AnswerOf(err error) (Answer, bool) {
	if answered, ok := errors.AsType[*answeredError](err); ok {
		return answered.answer, true
	}
	return Answer{}, false
}
