// Package retryafter reads the HTTP header Retry-After, for every client of ours.
//
// It owns the reading and nothing else: what a pause means is its caller's decision. It accepts what servers and
// proxies write, which is more than RFC 9110 allows: whole seconds, fractions of seconds, dates in each of HTTP's
// three forms, the header repeated, and several values joined by commas.
package retryafter

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Longest is the longest pause that Of believes.
const Longest = time.Hour

// Of returns the longest pause that header names, at most Longest. It is 0 if the header is missing, or names no time
// ahead. A date is compared with the answer's own Date, so that our clock may be wrong; now stands in if there is none.
func Of(header http.Header, now time.Time) time.Duration { return Within(header, now, Longest) }

// Within is Of for a client that believes pauses up to most.
func Within(header http.Header, now time.Time, most time.Duration) time.Duration {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	longest := time.Duration(0)
	for _, line := range header.Values("Retry-After") {
		parts := strings.Split(line, ",")
		for i, part := range parts {
			longest = max(longest, seconds(part, most), until(part, now, most))
			if i+1 < len(parts) { // most dates have a comma themselves
				longest = max(longest, until(part+","+parts[i+1], now, most))
			}
		}
	}
	return longest
}

// seconds reads a number of seconds, 0 if text is none, or is below 0.
func seconds(text string, most time.Duration) time.Duration {
	text = strings.TrimSpace(text)
	if strings.Trim(text, "0123456789.") != "" { // ParseFloat also knows signs, exponents, "inf" and "nan"
		return 0
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range it is infinite
		return 0
	}
	return time.Duration(math.Ceil(min(number, most.Seconds()) * float64(time.Second)))
}

// until reads a date, 0 if text is none, or is not ahead of now.
func until(text string, now time.Time, most time.Duration) time.Duration {
	at, err := http.ParseTime(strings.TrimSpace(text))
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most)
}
