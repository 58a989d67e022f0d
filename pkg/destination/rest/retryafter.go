package rest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// believed is the longest pause that a Retry-After is believed for.
const believed = time.Hour

// retryAfter reads the pause in seconds or as a date, by the destination's own clock where it tells it; 0
// when none is named.
func retryAfter(header http.Header) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range, it is the nearest number in range
		return time.Duration(min(max(seconds, 0), int64(believed/time.Second))) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(until.Sub(now), 0), believed)
}
