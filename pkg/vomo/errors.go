package vomo

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"rollcall.dev/pkg/endpoint"
	"rollcall.dev/pkg/fault"
)

var (
	// ErrUnauthorized: VOMO rejected the token (401). It is not retried: the caller decides how to confirm it.
	ErrUnauthorized = errors.New("VOMO rejected the token")
	// ErrForbidden: the token is valid but may not read users (403).
	ErrForbidden = errors.New("VOMO forbids this token to read users")
	// ErrNotFound: VOMO has nothing at this address, or hides it from this token (404).
	ErrNotFound = errors.New("VOMO has nothing there, or hides it from this token")
	// ErrThrottled: VOMO asked for a slower pace (429); fault.After gives the pause that it named.
	ErrThrottled = errors.New("VOMO asked for a slower pace")
	// ErrBodyTooLarge: an answer was longer than 16 MiB after decompression.
	ErrBodyTooLarge = errors.New("VOMO's answer is longer than 16 MiB")
	// ErrBrokenPage: an answer was truncated, or was not a page of users.
	ErrBrokenPage = errors.New("VOMO's answer is not a page of users")
	// ErrBrokenDetail: an answer about one user was truncated, about another user, or not a user.
	ErrBrokenDetail = errors.New("VOMO's answer is not the user that was asked for")
	// ErrPartialDetail: an answer about one user lacks fields that lists have. VOMO's specification says so too: it
	// lists only a user's participations. Lists have the complete user.
	ErrPartialDetail = errors.New("VOMO's answer about the user is not a whole user")
	// ErrPageMismatch: VOMO answered with another page than the requested one.
	ErrPageMismatch = errors.New("VOMO answered with another page than the one asked for")
	// ErrPageRepeats: a page has exactly the entries of an earlier one, in any order. A source that ignores the page
	// number does that and would never end.
	ErrPageRepeats = errors.New("VOMO sent a page again under another number")
	// ErrEndless: a scan reached page 1,000,001, which no organisation has.
	ErrEndless = errors.New("VOMO's list goes on beyond a million pages")
	// ErrUnreadablePage: each entry of a page has the same defect, so the source is at fault and not a user's record.
	ErrUnreadablePage = errors.New("VOMO's page of users cannot be read")
	// ErrRejected: VOMO, or a proxy before it, answered with a status from 400 to 499 without a special meaning here.
	// One such answer means nothing; many in a row mean that the request is wrong.
	ErrRejected = errors.New("VOMO rejected the request")
	// ErrForeignRedirect: VOMO redirected to another origin, to which the token must not be sent.
	ErrForeignRedirect = errors.New("VOMO redirected to another origin")
	// ErrTooManyRedirects: VOMO redirected more than three times in a row, or without a location.
	ErrTooManyRedirects = errors.New("VOMO's redirects lead nowhere")
	// ErrScanUsed: the caller ranged over Scan.Pages a second time.
	ErrScanUsed = errors.New("a scan can be read only once")
)

// errStopped ends the delivery of a scan after Stop; the package never returns it.
var errStopped = errors.New("scan stopped")

// statusFault returns the fault for a status from 400 on other than 429, and whether another attempt may succeed.
// after is the pause that the answer asks for, 0 for none.
func statusFault(status int, after time.Duration) (again bool, err error) {
	again, err = faultOf(status)
	if again && after > 0 {
		err = fault.Throttled(fault.CodeOf(err), after, errors.Unwrap(err))
	}
	return again, err
}

func faultOf(status int) (again bool, err error) {
	answered := errors.New("VOMO answered " + strconv.Itoa(status))
	switch {
	case status == http.StatusUnauthorized:
		return false, fault.Unknown("vomo_unauthorized", ErrUnauthorized)
	case status == http.StatusForbidden:
		return false, fault.Unknown("vomo_forbidden", ErrForbidden)
	case status == http.StatusNotFound:
		return false, fault.Unknown("vomo_not_found", ErrNotFound)
	case status == http.StatusRequestTimeout:
		return true, fault.Unknown("vomo_timeout", answered)
	case status >= 500:
		return true, fault.Unknown("vomo_5xx", answered)
	}
	return true, fault.Unknown("vomo_http_"+strconv.Itoa(status), &rejectedError{status: status})
}

type rejectedError struct{ status int }

func (r *rejectedError) Error() string { return "VOMO answered " + strconv.Itoa(r.status) }
func (r *rejectedError) Unwrap() error { return ErrRejected }

// unreadable returns the fault for a page whose entries all have the same defect, in our own words.
func unreadable(entries int, defect string) error {
	return fault.Unknown("vomo_unreadable_page", &unreadablePage{entries: entries, defect: defect})
}

type unreadablePage struct {
	entries int
	defect  string
}

func (u *unreadablePage) Error() string {
	return ErrUnreadablePage.Error() + ": all of its " + strconv.Itoa(u.entries) + " entries have the same defect, " + u.defect
}
func (u *unreadablePage) Unwrap() error { return ErrUnreadablePage }

// broken returns the fault for an answer that is not a page of users; what must be our own words, never the answer's.
func broken(what string) error {
	return fault.Unknown("vomo_broken_page", &brokenPage{what: what})
}

type brokenPage struct{ what string }

func (b *brokenPage) Error() string { return ErrBrokenPage.Error() + ": " + b.what }
func (b *brokenPage) Unwrap() error { return ErrBrokenPage }

// unreachable returns the fault for a request without an answer.
func unreachable(err error) error {
	return fault.Unknown("vomo_unreachable", errors.New(endpoint.NoAnswer("VOMO", err)))
}
