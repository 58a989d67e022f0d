// Package fault names the kinds of error that decide what happens next.
//
// It owns three kinds and nothing else: a Permanent fault will fail again however often it is tried, a
// Throttled one asks for a pause, and everything else is Unknown and is tried again. It promises that the
// kind survives any number of fmt.Errorf("…: %w") wraps. It does not log, retry or settle: whoever settles
// a message or a record reads the kind and acts.
package fault

import (
	"errors"
	"time"
)

// Kind says what a retry could achieve.
type Kind int

const (
	// KindUnknown is a fault that a later attempt may not meet: a timeout, a 5xx, a broken body.
	KindUnknown Kind = iota
	// KindPermanent is a fault that every attempt with the same input would meet again.
	KindPermanent
	// KindThrottled is a refusal for now: come back after the time that Error.After gives.
	KindThrottled
)

// String is the word for the kind that logs and dead letters carry.
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
	After time.Duration // KindThrottled only; 0 means that no time was named
	Err   error
}

// Error gives the wrapped error's text, or the code where nothing is wrapped.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return e.Err.Error()
}

// Unwrap gives the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// Permanent marks err as one that no retry can mend.
func Permanent(code string, err error) error {
	return &Error{Kind: KindPermanent, Code: code, Err: err}
}

// Throttled marks err as a refusal for now; after is how long to wait, 0 when the other side named no time.
func Throttled(code string, after time.Duration, err error) error {
	return &Error{Kind: KindThrottled, Code: code, After: after, Err: err}
}

// Unknown gives err a code and leaves it retryable.
func Unknown(code string, err error) error {
	return &Error{Kind: KindUnknown, Code: code, Err: err}
}

// KindOf gives the kind of the outermost fault in err's chain, KindUnknown where there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Kind
	}
	return KindUnknown
}

// CodeOf gives the code of the outermost fault in err's chain, "internal" where there is none.
func CodeOf(err error) string {
	var f *Error
	if errors.As(err, &f) && f.Code != "" {
		return f.Code
	}
	return "internal"
}

// After gives the pause that a throttled fault asked for, and whether err is one that named a time.
func After(err error) (time.Duration, bool) {
	var f *Error
	if errors.As(err, &f) && f.Kind == KindThrottled && f.After > 0 {
		return f.After, true
	}
	return 0, false
}
