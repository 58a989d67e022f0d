// Package retryafter parses the HTTP header Retry-After for all of rollcall's clients.
//
// It only parses: the caller decides what a pause means. It accepts what servers and proxies write, which is more
// than RFC 9110 allows: whole seconds, fractions of seconds, dates in each of HTTP's three forms, the header
// repeated, and several values separated by commas.
package retryafter

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Longest is the longest pause that Of returns.
const Longest = time.Hour

// Of returns the longest pause that header names, at most Longest. It is 0 if the header is missing, or names no time
// in the future. A date is compared with the answer's own Date, so that the local clock may be wrong; now is used if
// there is none.
func Of(header http.Header, now time.Time) time.Duration { return Within(header, now, Longest) }

// Within is Of with another maximum.
func Within(header http.Header, now time.Time, most time.Duration) time.Duration {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	longest := time.Duration(0)
	for _, line := range header.Values("Retry-After") {
		parts := strings.Split(line, ",")
		for i, part := range parts {
			longest = max(longest, seconds(part, most), until(part, now, most))
			if i+1 < len(parts) { // most dates contain a comma
				longest = max(longest, until(part+","+parts[i+1], now, most))
			}
		}
	}
	return longest
}

// seconds parses a number of seconds; it returns 0 if text is not a number, or is negative.
func seconds(text string, most time.Duration) time.Duration {
	text = strings.TrimSpace(text)
	if strings.Trim(text, "0123456789.") != "" { // ParseFloat also accepts signs, exponents, "inf" and "nan"
		return 0
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // a number out of range counts as infinite
		return 0
	}
	return time.Duration(math.Ceil(min(number, most.Seconds()) * float64(time.Second)))
}

// until parses a date; it returns 0 if text is not a date, or is not after now.
func until(text string, now time.Time, most time.Duration) time.Duration {
	at, err := http.ParseTime(strings.TrimSpace(text))
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most)
}
