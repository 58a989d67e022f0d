package gifts

import (
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// Forms of a time without a zone.
const (
	wholeSeconds = "2006-01-02T15:04:05"
	// Day is how a gift's date is kept.
	Day = time.DateOnly
)

// stamp returns the time of a change, in a precision that the organisation's databases have: whole seconds, hundredths,
// milliseconds, or 300ths of a second, which have seven digits when written out. It is at least 10 ms after the previous
// change of the record, so that two versions of a record never have times that a client takes for the same.
func (o *Organisation) stamp(now time.Time, key string, after time.Time) time.Time {
	precision := o.s.Settings.Times
	if precision == "mixed" {
		choices := []string{"whole", "hundredths", "milliseconds", "ticks"}
		precision = choices[int(o.draw("precision", key, now.UTC().Format(time.RFC3339Nano))*float64(len(choices)))]
	}
	at := quantised(now.UTC(), precision)
	if at.Before(after.Add(10 * time.Millisecond)) {
		at = quantised(after.UTC(), precision)
		for at.Before(after.Add(10 * time.Millisecond)) {
			at = quantised(at.Add(step(precision)), precision)
		}
	}
	return at
}

func step(precision string) time.Duration {
	if precision == "whole" {
		return time.Second
	}
	return 20 * time.Millisecond
}

func quantised(at time.Time, precision string) time.Time {
	switch precision {
	case "whole":
		return at.Truncate(time.Second)
	case "hundredths":
		return at.Truncate(10 * time.Millisecond)
	case "milliseconds":
		return at.Truncate(time.Millisecond)
	case "ticks":
		whole := at.Truncate(time.Second)
		ticks := int64(at.Sub(whole)) * 300 / int64(time.Second)
		return whole.Add(time.Duration(ticks*10_000_000/300) * 100)
	default: // zulu
		return at.Truncate(100 * time.Nanosecond)
	}
}

// Precise returns a time with up to seven digits, as lists and nested records have it.
func (s Settings) Precise(at time.Time) string { return s.written(at.UTC(), ".0000000") }

// Rounded returns a time with up to three digits, as a single record has it: the endpoints of Virtuous round differently.
func (s Settings) Rounded(at time.Time) string {
	if s.Times == "zulu" {
		return s.written(at.UTC(), ".0000000")
	}
	return s.written(at.UTC().Round(time.Millisecond), ".000")
}

func (s Settings) written(at time.Time, fraction string) string {
	if s.Times == "zulu" {
		return at.Format(wholeSeconds+fraction) + "Z"
	}
	text := strings.TrimRight(at.Format(wholeSeconds+fraction), "0")
	if strings.HasSuffix(text, ".") {
		return at.Format(wholeSeconds)
	}
	return text
}

// draw returns a number from 0 to below 1 that depends on the seed and the words only. Requests that come in another
// order do not change it.
func (o *Organisation) draw(words ...string) float64 { return drawn(o.s.Seed, words...) }

func drawn(seed uint64, words ...string) float64 {
	sum := fnv.New64a()
	for _, word := range words {
		_, _ = sum.Write([]byte(word)) // a hash never fails
		_, _ = sum.Write([]byte{0})
	}
	return rand.New(rand.NewPCG(seed, sum.Sum64())).Float64() //nolint:gosec // repeatable on purpose
}
