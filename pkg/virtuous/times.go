package virtuous

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// TimeTolerance is how far apart two readings of the same time may be: Virtuous' endpoints round differently.
const TimeTolerance = 10 * time.Millisecond

var (
	// ErrNotTime means that a text is no time. The error does not quote the text.
	ErrNotTime = errors.New("that is no time")
	// ErrNotDate means that a text is no date. The error does not quote the text.
	ErrNotDate = errors.New("that is no date")
)

// SameTime reports whether two times are less than TimeTolerance apart.
func SameTime(one, other time.Time) bool { return one.Sub(other).Abs() < TimeTolerance }

// ParseTime returns the time of a field whose name ends in Utc: without a zone it is UTC. The text may have up to nine
// digits behind the second; the result is truncated to microseconds, which is what Postgres keeps. An empty text,
// "Unavailable" and the year 1, which .NET writes for a missing time, give the zero time.
func ParseTime(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if isNoTime(text) {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04:05"} {
		at, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		at = at.UTC().Truncate(time.Microsecond)
		if at.Year() < 1900 || at.Year() > 9998 {
			return time.Time{}, ErrNotTime
		}
		return at, nil
	}
	return time.Time{}, ErrNotTime
}

// isNoTime reports whether a text stands for a missing time or date.
func isNoTime(text string) bool {
	return text == "" || strings.EqualFold(text, "Unavailable") || strings.HasPrefix(text, "0001-01-01")
}

// Date is a day of a calendar, in no time zone. The zero value means that there is none.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day of a moment in the moment's own zone; use at.In first for the organization's day.
func DateOf(at time.Time) Date {
	year, month, day := at.Date()
	return Date{Year: year, Month: month, Day: day}
}

// ParseDate returns the date of a text: "2026-02-19", "2/19/2026", or a time, of which it takes the day as it is written.
// An empty text, "Unavailable" and the year 1 give the zero Date.
func ParseDate(text string) (Date, error) {
	text = strings.TrimSpace(text)
	if isNoTime(text) {
		return Date{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04:05", "1/2/2006", "1/2/2006 3:04:05 PM"} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() >= 1 {
			return DateOf(at), nil
		}
	}
	return Date{}, ErrNotDate
}

// IsZero reports whether there is no date.
func (d Date) IsZero() bool { return d == Date{} }

// String returns the date as YYYY-MM-DD, and "" for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
}

// In returns the first moment of the day in a zone.
func (d Date) In(zone *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
}

// MarshalText returns String.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDate reads.
func (d *Date) UnmarshalText(text []byte) error {
	date, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = date
	return nil
}
