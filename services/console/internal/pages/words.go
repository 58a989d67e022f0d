package pages

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// inShort returns a length of time with its largest unit, such as 40 s, 3 min, 5 h or 12 d.
func inShort(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// relative returns how long ago a moment was, or in how long it comes.
func relative(at, now time.Time) string {
	if at.After(now) {
		return "in " + inShort(at.Sub(now))
	}
	return inShort(now.Sub(at)) + " ago"
}

// exactTime returns a moment with its zone.
func exactTime(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// clockTime returns the time of the day, for "as of".
func clockTime(at time.Time) string { return at.UTC().Format("15:04") + " UTC" }

func machineTime(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// number writes a number so that it is read at first sight.
func number(n int64) string { return humanize.Comma(n) }

// counted returns a number with its noun.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// percent returns a share.
func percent(share float64) string { return fmt.Sprintf("%.1f %%", share*100) }

// remaining returns an estimate as a range: rates change, and one number would be read as a promise.
func remaining(seconds int64) string {
	low, high := time.Duration(float64(seconds)*0.8)*time.Second, time.Duration(math.Ceil(float64(seconds)*1.3))*time.Second
	if inShort(low) == inShort(high) {
		return "about " + inShort(high)
	}
	return inShort(low) + " to " + inShort(high)
}

// spaced returns a code as words: poll_stalled is "poll stalled".
func spaced(code string) string { return strings.ReplaceAll(code, "_", " ") }

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// plain writes a number as attributes need it.
func plain(n int64) string { return strconv.FormatInt(n, 10) }

// spacedTitle is spaced with a capital letter.
func spacedTitle(code string) string { return capitalised(spaced(code)) }

func capitalised(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// dashed returns a decision such as take-partner as words.
func dashed(decision string) string { return spacedTitle(strings.ReplaceAll(decision, "-", "_")) }
