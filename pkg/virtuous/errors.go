package virtuous

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"rollcall.dev/pkg/endpoint"
	"rollcall.dev/pkg/fault"
)

var (
	// ErrUnauthorized: Virtuous rejected the key (401).
	ErrUnauthorized = errors.New("Virtuous rejected the key")
	// ErrForbidden: the key is valid but may not do this (403).
	ErrForbidden = errors.New("Virtuous forbids this key to do that")
	// ErrNotFound: Virtuous has nothing at this address, or does not have it yet (404).
	ErrNotFound = errors.New("Virtuous has nothing there")
	// ErrThrottled: Virtuous asked for a slower pace (429); fault.After gives the pause that it named.
	ErrThrottled = errors.New("Virtuous asked for a slower pace")
	// ErrRejected: another status from 400 to 499. Problems gives the fields and codes that the answer names.
	ErrRejected = errors.New("Virtuous rejected the request")
	// ErrUnavailable: a status from 500 on, or no answer.
	ErrUnavailable = errors.New("Virtuous is not available")
	// ErrTimeout: there was no answer in time. It is an ErrUnavailable.
	ErrTimeout = timeoutError{}
	// ErrUnknownAnswer: a status of success with a body that is not what was asked for. It says nothing about any record.
	ErrUnknownAnswer = errors.New("Virtuous' answer is not what was asked for")
	// ErrRedirect: Virtuous redirected. No redirect is followed, because the key belongs to one origin.
	ErrRedirect = errors.New("Virtuous redirected the request: a redirect is not followed")
	// ErrOpen: the customer's circuit breaker is open and the request was not sent. It is an ErrUnavailable.
	ErrOpen = openError{}
)

type timeoutError struct{}

func (timeoutError) Error() string { return "Virtuous did not answer in time" }
func (timeoutError) Unwrap() error { return ErrUnavailable }

type openError struct{}

func (openError) Error() string {
	return "Virtuous did not answer several requests in a row: nothing is sent for a while"
}
func (openError) Unwrap() error { return ErrUnavailable }

func openFault() error { return fault.Unknown("virtuous_open", ErrOpen) }

// AnswerError is an answer that is not a success, or not what was asked for. It is in the chain of every error that an
// answer caused.
type AnswerError struct {
	Status    int
	RequestID string    // the request's id at Virtuous, "" if there is none
	Problems  []Problem // what the answer complains about
	err       error
}

// Problem is a field that an answer complains about, a code of the complaint, or both.
type Problem struct{ Field, Code string }

// String returns the field, the code, or both.
func (p Problem) String() string { return strings.TrimSpace(p.Field + " " + p.Code) }

// Error names the status, the request, and the fields and codes, and quotes nothing else of the answer.
func (a *AnswerError) Error() string {
	text := a.err.Error() + " (status " + strconv.Itoa(a.Status)
	if a.RequestID != "" {
		text += ", request " + a.RequestID
	}
	text += ")"
	if len(a.Problems) > 0 {
		text += ": " + describe(a.Problems)
	}
	return text
}

// Unwrap returns the error that the status stands for.
func (a *AnswerError) Unwrap() error { return a.err }

// Problems returns what the answer that caused err complains about.
func Problems(err error) []Problem {
	if answer, ok := errors.AsType[*AnswerError](err); ok {
		return answer.Problems
	}
	return nil
}

// RequestID returns the id at Virtuous of the request that err is about, "" if it is not known.
func RequestID(err error) string {
	if answer, ok := errors.AsType[*AnswerError](err); ok {
		return answer.RequestID
	}
	return ""
}

// statusFault returns the fault of an answer to a call, nil for a success.
func statusFault(r reply, one call) error {
	answer := &AnswerError{Status: r.status, RequestID: r.requestID}
	fail := func(code string, err error) error {
		answer.err = err
		if r.after > 0 {
			return fault.Throttled(code, r.after, answer)
		}
		return fault.Unknown(code, answer)
	}
	switch {
	case r.status >= 200 && r.status <= 299:
		return nil
	case r.status < 400:
		return fail("virtuous_redirect", ErrRedirect)
	case r.status == http.StatusUnauthorized:
		return fail("virtuous_unauthorized", ErrUnauthorized)
	case r.status == http.StatusForbidden:
		return fail("virtuous_forbidden", ErrForbidden)
	case r.status == http.StatusNotFound:
		return fail("virtuous_not_found", ErrNotFound)
	case r.status == http.StatusTooManyRequests:
		answer.err = ErrThrottled
		return fault.Throttled("virtuous_throttled", r.after, answer)
	case r.status == http.StatusRequestTimeout, r.status == http.StatusGatewayTimeout:
		return &retryableError{fail("virtuous_timeout", ErrTimeout)}
	case r.status >= 500:
		return &retryableError{fail("virtuous_5xx", ErrUnavailable)}
	}
	answer.Problems = problemsOf(r.body, one.body)
	return fail("virtuous_http_"+strconv.Itoa(r.status), ErrRejected)
}

// unknownAnswer returns the fault of a success whose body is not what was asked for; what must be our own words.
func unknownAnswer(r reply, what string) error {
	return fault.Unknown("virtuous_unknown_answer", &AnswerError{Status: r.status, RequestID: r.requestID, err: &unknownBody{what: what}})
}

type unknownBody struct{ what string }

func (u *unknownBody) Error() string { return ErrUnknownAnswer.Error() + ": " + u.what }
func (u *unknownBody) Unwrap() error { return ErrUnknownAnswer }

// unreachable returns the fault for a request without an answer.
func unreachable(err error) error {
	return fault.Unknown("virtuous_unreachable", &noAnswer{text: endpoint.NoAnswer("Virtuous", err)})
}

type noAnswer struct{ text string }

func (n *noAnswer) Error() string { return n.text }
func (n *noAnswer) Unwrap() error { return ErrUnavailable }
