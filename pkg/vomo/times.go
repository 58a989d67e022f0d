package vomo

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// OldestTime is the time of a user without one: no change of a user can be that old.
func OldestTime() time.Time { return time.Unix(0, 0).UTC() }

// readTime parses a time in any form that PHP, Postgres and Rails write. It is truncated to whole seconds, so that
// two readings of one time are equal. A missing time, and a zero date, which MySQL and Go write for a missing one,
// give the zero time; ok is false if the value is not a time.
func readTime(value []byte) (at time.Time, ok bool) {
	switch {
	case isNone(value):
		return time.Time{}, true
	case isText(value):
		return parseTime(textOf(value))
	case isObject(value):
		return objectTime(value)
	}
	return unixTime(string(value))
}

// objectTime parses PHP's form of a DateTime: an object with the time and the zone in separate fields.
func objectTime(value []byte) (time.Time, bool) {
	var date, zone string
	for name, member := range members(value) {
		switch {
		case !isText(member):
		case string(name) == "date":
			date = textOf(member)
		case string(name) == "timezone":
			zone = textOf(member)
		}
	}
	if isZeroDate(date) {
		return time.Time{}, true
	}
	if zone != "" && (zone[0] == '+' || zone[0] == '-') {
		return parseTime(date + zone)
	}
	location, err := time.LoadLocation(zone) // "" is UTC
	if err != nil || zone == "Local" {
		return time.Time{}, false
	}
	at, err := time.ParseInLocation(time.DateTime, strings.TrimSpace(date), location)
	if err != nil {
		return time.Time{}, false
	}
	return inSeconds(at)
}

// unixTime parses a number of seconds, milliseconds or microseconds since 1970. The size tells which: with the other
// units it would not be a time between 1973 and 5138.
func unixTime(text string) (time.Time, bool) {
	number, err := strconv.ParseFloat(text, 64)
	switch size := math.Abs(number); {
	case err == nil && number == 0:
		return time.Time{}, true
	case err != nil, size < 1e8, size >= 1e17:
		return time.Time{}, false
	}
	switch {
	case math.Abs(number) >= 1e14:
		number /= 1e6
	case math.Abs(number) >= 1e11:
		number /= 1e3
	}
	return inSeconds(time.Unix(int64(math.Floor(number)), 0))
}

// parseTime parses a text. A time without a zone is UTC. Abbreviated zones are rejected except for two, because the
// others are ambiguous.
func parseTime(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if text == "" || isZeroDate(text) {
		return time.Time{}, true
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return inSeconds(at)
	}
	if strings.Trim(text, "0123456789.") == "" {
		return unixTime(text)
	}
	short := strings.TrimSuffix(strings.TrimSuffix(text, " UTC"), " GMT")
	if len(short) < len(text) {
		short += "Z"
	}
	if len(short) > len(time.DateOnly) && short[len(time.DateOnly)] == ' ' {
		short = short[:len(time.DateOnly)] + "T" + short[len(time.DateOnly)+1:]
	}
	for _, layout := range []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
		"2006-01-02T15:04:05 Z07:00", "2006-01-02T15:04:05 Z0700", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly,
	} {
		if at, err := time.Parse(layout, short); err == nil {
			return inSeconds(at)
		}
	}
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC1123Z} {
		if at, err := time.Parse(layout, text); err == nil {
			return inSeconds(at)
		}
	}
	return time.Time{}, false
}

// isZeroDate reports whether a text starts like a zero date of MySQL, PHP or Go. No user has a time in those years.
func isZeroDate(text string) bool {
	return strings.HasPrefix(text, "0000-") || strings.HasPrefix(text, "-0001-") || strings.HasPrefix(text, "0001-01-01")
}

// inSeconds truncates a time to seconds; ok is false outside the years that VOMO's own form can write.
func inSeconds(at time.Time) (time.Time, bool) {
	at = at.UTC().Truncate(time.Second)
	if at.Year() > 9999 {
		return time.Time{}, false
	}
	if at.Year() <= 1 {
		return time.Time{}, true
	}
	return at, true
}
