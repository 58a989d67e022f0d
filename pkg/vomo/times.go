package vomo

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// OldestTime stands for the time of a user who has none: no change of a user can be as old.
func OldestTime() time.Time { return time.Unix(0, 0).UTC() }

// readTime reads a time in any of the forms that PHP, Postgres and Rails write. It is cut to whole seconds: two readings of
// one time must be equal. zero is the result for none at all, and for a zero date, which is how MySQL and Go write that
// there is none; ok is false for what is no time.
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

// objectTime reads what PHP makes of a DateTime: its text and its zone, apart from each other.
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

// unixTime reads a number of seconds, milliseconds or microseconds since 1970. Which of them is told by the size: none of
// the others would be a time between 1973 and 5138.
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

// parseTime reads a text. A time without a zone is UTC. Zones by their short names are refused but for two: each of the
// others means several things.
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

// isZeroDate says whether a text is how a zero date of MySQL, PHP or Go begins. No year of theirs is anybody's.
func isZeroDate(text string) bool {
	return strings.HasPrefix(text, "0000-") || strings.HasPrefix(text, "-0001-") || strings.HasPrefix(text, "0001-01-01")
}

// inSeconds cuts a time to seconds; one outside the years that VOMO's own form can write is none.
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
