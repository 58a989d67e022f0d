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

// perFigure has something of each figure of a report.
type perFigure[T any] struct {
	Pending        T
	SubmittedLate  T
	NeedsReview    T
	Failed         T
	Conflict       T
	Latency        T // median
	RecoveredShare T
	Drift          T
}

// Limits are the limits of the figures. That of Pending is the age of the oldest.
type Limits perFigure[Limit]

// Floors are the values up to which a figure raises no alert, however unusual it is. That of Pending is a count.
type Floors perFigure[float64]

// DefaultLimits returns the limits of the integration guide, where it names one.
func DefaultLimits() Limits {
	hours := func(look, act float64) Limit { return Limit{look * time.Hour.Seconds(), act * time.Hour.Seconds()} }
	return Limits{
		Pending: hours(2, 24), SubmittedLate: Limit{0, 20}, NeedsReview: Limit{5, 50}, Failed: Limit{0, 10}, Conflict: Limit{5, 50},
		Latency: hours(36, 72), RecoveredShare: Limit{0.01, 0.1}, Drift: Limit{5, 50},
	}
}

// DefaultFloors returns values below which a person who works with the customer can see to each record, and an engineer need not look for a common
// cause. Below a day the latency only says at which hour staff run the import.
func DefaultFloors() Floors {
	return Floors{
		Pending: 10, SubmittedLate: 10, NeedsReview: 10, Failed: 10, Conflict: 10, Latency: 24 * time.Hour.Seconds(), RecoveredShare: 0.05, Drift: 10,
	}
}

// Names of the figures in a setting, as in a report.
func (p *perFigure[T]) byName() map[string]*T {
	return map[string]*T{
		"pending": &p.Pending, "submittedLate": &p.SubmittedLate, "needsReview": &p.NeedsReview, "failed": &p.Failed, "conflict": &p.Conflict,
		"latency": &p.Latency, "recoveredShare": &p.RecoveredShare, "drift": &p.Drift,
	}
}

var (
	errLimit = errors.New("must be two values that are not negative, the second not below the first, such as needsReview=5/50 or pending=2h/24h")
	errFloor = errors.New("must be a value that is not negative, such as failed=20 or latency=36h")
)

// ParseLimits reads limits such as "pending=2h/24h,needsReview=5/50". What is not named has its default.
func ParseLimits(text string) (Limits, error) {
	limits := DefaultLimits()
	err := parse(text, (*perFigure[Limit])(&limits).byName(), func(name, values string) (Limit, error) {
		isTime := name == "pending" || name == "latency"
		look, act, found := strings.Cut(values, "/")
		first, err := parseValue(look, isTime)
		second, otherErr := parseValue(act, isTime)
		if !found || err != nil || otherErr != nil || !(first >= 0) || !(second >= first) {
			return Limit{}, fmt.Errorf("limit %s %w", name, errLimit)
		}
		return Limit{first, second}, nil
	})
	if err != nil {
		return Limits{}, err
	}
	return limits, nil
}

// ParseFloors reads floors such as "failed=20,latency=36h". What is not named has its default.
func ParseFloors(text string) (Floors, error) {
	floors := DefaultFloors()
	err := parse(text, (*perFigure[float64])(&floors).byName(), func(name, value string) (float64, error) {
		floor, err := parseValue(value, name == "latency")
		if err != nil || !(floor >= 0) {
			return 0, fmt.Errorf("floor %s %w", name, errFloor)
		}
		return floor, nil
	})
	if err != nil {
		return Floors{}, err
	}
	return floors, nil
}

// parse reads the values of figures into byName.
func parse[T any](text string, byName map[string]*T, one func(name, value string) (T, error)) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	for entry := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(entry), "=")
		of, known := byName[name]
		if !known {
			return fmt.Errorf("figure %q: must be one of %s", name, strings.Join(slices.Sorted(maps.Keys(byName)), ", "))
		}
		read, err := one(name, value)
		if err != nil {
			return err
		}
		*of = read
	}
	return nil
}

func parseValue(text string, isTime bool) (float64, error) {
	if isTime {
		duration, err := time.ParseDuration(text)
		return duration.Seconds(), err
	}
	return strconv.ParseFloat(text, 64)
}
