package dev

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// Fewer requests make no rate worth telling.
	fewestRequests = 10
	shownRecords   = 5
)

// errDifferences says that the mirror is not what the source is.
var errDifferences = errors.New("source and destination differ")

// line is the verdict in one line.
func (c comparison) line() string {
	differences := c.differences()
	word := "differences"
	if differences == 1 {
		word = "difference"
	}
	return fmt.Sprintf("%s of %s users mirrored, %s %s",
		thousands(c.Source-c.Missing), thousands(c.Source), thousands(differences), word)
}

func (c comparison) differences() int64 { return c.Missing + c.Extra + c.Different }

// details names the first records of each kind of difference.
func (c comparison) details() []string {
	var lines []string
	for _, id := range c.MissingIDs[:min(shownRecords, len(c.MissingIDs))] {
		lines = append(lines, id+" is missing in the destination")
	}
	for _, id := range c.ExtraIDs[:min(shownRecords, len(c.ExtraIDs))] {
		lines = append(lines, id+" has no user in the source")
	}
	for _, record := range c.Differences[:min(shownRecords, len(c.Differences))] {
		lines = append(lines, record.ExternalID+" differs in "+strings.Join(record.Fields, ", "))
	}
	return lines
}

// perMinute is the rate between the first request and the last; false when there is none to speak of.
func (t traffic) perMinute() (float64, bool) {
	took := t.LastAt.Sub(t.FirstAt).Minutes()
	if t.Requests < fewestRequests || took <= 0 {
		return 0, false
	}
	return float64(t.Requests-1) / took, true
}

// rateLine says how much of the allowed rate was used; "" when there were too few requests to tell.
func (t traffic) rateLine(allowedPerMinute float64) string {
	rate, ok := t.perMinute()
	if !ok {
		return ""
	}
	// Rounded down: it must not say that a limit was reached which was not.
	return fmt.Sprintf("rate: %s of %s requests a minute allowed (%.0f %%), never more than %s in any sliding minute",
		decimal(rate), strconv.FormatFloat(allowedPerMinute, 'f', -1, 64), math.Floor(100*rate/allowedPerMinute), thousands(t.MaxPerMinute))
}

func decimal(value float64) string { return strconv.FormatFloat(value, 'f', 1, 64) }

// thousands writes a number with a comma after each three digits, as in 1,000.
func thousands(number int64) string {
	digits := strconv.FormatInt(number, 10)
	sign := ""
	if number < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
