package dailyreport

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limit is from which value on an operator should look, and from which on act. Times are in seconds. A value that is equal to Look is ok.
type Limit struct{ Look, Act float64 }

// Limits are the limits of the seven figures.
type Limits struct {
	Pending        Limit // age of the oldest
	SubmittedLate  Limit
	NeedsReview    Limit
	Failed         Limit
	Conflict       Limit
	Latency        Limit // median
	RecoveredShare Limit
}

// DefaultLimits returns the limits of the integration guide, where it names one.
func DefaultLimits() Limits {
	hours := func(look, act float64) Limit { return Limit{look * time.Hour.Seconds(), act * time.Hour.Seconds()} }
	return Limits{
		Pending: hours(2, 24), SubmittedLate: Limit{0, 20}, NeedsReview: Limit{5, 50}, Failed: Limit{0, 10}, Conflict: Limit{5, 50},
		Latency: hours(36, 72), RecoveredShare: Limit{0.01, 0.1},
	}
}

// Names of the limits in a setting, as in a report.
func (l *Limits) byName() map[string]*Limit {
	return map[string]*Limit{
		"pending": &l.Pending, "submittedLate": &l.SubmittedLate, "needsReview": &l.NeedsReview, "failed": &l.Failed, "conflict": &l.Conflict,
		"latency": &l.Latency, "recoveredShare": &l.RecoveredShare,
	}
}

var errLimit = errors.New("must be two values that are not negative, the second not below the first, such as needsReview=5/50 or pending=2h/24h")

// ParseLimits reads limits such as "pending=2h/24h,needsReview=5/50". What is not named has its default.
func ParseLimits(text string) (Limits, error) {
	limits := DefaultLimits()
	if strings.TrimSpace(text) == "" {
		return limits, nil
	}
	byName := limits.byName()
	for entry := range strings.SplitSeq(text, ",") {
		name, values, _ := strings.Cut(strings.TrimSpace(entry), "=")
		limit, known := byName[name]
		if !known {
			return Limits{}, fmt.Errorf("limit %q: must be one of %s", name, strings.Join(slices.Sorted(maps.Keys(byName)), ", "))
		}
		isTime := name == "pending" || name == "latency"
		look, act, found := strings.Cut(values, "/")
		first, err := parseValue(look, isTime)
		second, otherErr := parseValue(act, isTime)
		if !found || err != nil || otherErr != nil || !(first >= 0) || !(second >= first) {
			return Limits{}, fmt.Errorf("limit %s %w", name, errLimit)
		}
		*limit = Limit{first, second}
	}
	return limits, nil
}

func parseValue(text string, isTime bool) (float64, error) {
	if isTime {
		duration, err := time.ParseDuration(text)
		return duration.Seconds(), err
	}
	return strconv.ParseFloat(text, 64)
}
