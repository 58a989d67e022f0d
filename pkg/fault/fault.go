// Package fault defines the kinds of error that decide what happens next.
//
// There are three kinds. A Permanent fault fails again however often it is tried, a Throttled fault asks for a pause,
// and every other error is Unknown and retryable. The kind survives any number of fmt.Errorf("…: %w") wraps. The
// package does not log, retry or settle: the code that settles a message or a record reads the kind and acts on it.
package fault

import (
	"errors"
	"time"
)

// Kind says what a retry could achieve.
type Kind int

const (
	// KindUnknown may succeed at a later attempt: a timeout, a 5xx, a broken body.
	KindUnknown Kind = iota
	// KindPermanent fails at every attempt with the same input.
	KindPermanent
	// KindThrottled is a temporary rejection; retry after the time in Error.After.
	KindThrottled
)

// String returns the name of the kind that logs and dead letters carry.
func (k Kind) String() string {
	switch k {
	case KindPermanent:
		return "permanent"
	case KindThrottled:
		return "throttled"
	case KindUnknown:
		return "unknown"
	}
	return "unknown"
}

// Error is a fault with its kind and a short machine code such as "vomo_timeout" (lower snake case, never
// text from outside: codes end up in metrics and subjects).
type Error struct {
	Kind  Kind
	Code  string
	After time.Duration // KindThrottled only; 0 if the other side named no time
	Err   error
}

// Error returns the wrapped error's text, or the code if no error is wrapped.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return e.Err.Error()
}

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// Permanent marks err as permanent: no retry can succeed.
func Permanent(code string, err error) error {
	return &Error{Kind: KindPermanent, Code: code, Err: err}
}

// Throttled marks err as a temporary rejection. after is how long to wait, 0 if the other side named no time.
func Throttled(code string, after time.Duration, err error) error {
	return &Error{Kind: KindThrottled, Code: code, After: after, Err: err}
}

// Unknown adds a code to err, which stays retryable.
func Unknown(code string, err error) error {
	return &Error{Kind: KindUnknown, Code: code, Err: err}
}

// KindOf returns the kind of the outermost fault in err's chain, KindUnknown if there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Kind
	}
	return KindUnknown
}

// CodeOf returns the code of the outermost fault in err's chain, "internal" if there is none.
func CodeOf(err error) string {
	var f *Error
	if errors.As(err, &f) && f.Code != "" {
		return f.Code
	}
	return "internal"
}

// After returns the pause that a throttled fault asked for, and whether err is a throttled fault that named a time.
func After(err error) (time.Duration, bool) {
	var f *Error
	if errors.As(err, &f) && f.Kind == KindThrottled && f.After > 0 {
		return f.After, true
	}
	return 0, false
}
