// Package night says when a customer's nightly and weekly jobs start.
//
// Each customer has a time of its own, always the same, between half past midnight and five in its zone, so that the customers are
// spread over the night, and for weekly jobs over the week. Every replica computes the same. The package reads no clock.
package night

import (
	"hash/fnv"
	"time"

	"rollcall.dev/pkg/window"
)

// The night, in the customer's local time.
const (
	nightBegins = 30 * time.Minute // after midnight
	nightLasts  = 4*time.Hour + 30*time.Minute
	noon        = 12
)

// Zone returns the customer's time zone, which is that of its quiet hours. If the stored hours are invalid, it
// returns UTC and the error.
func Zone(quietHours []byte) (*time.Location, error) {
	hours, err := window.Read(quietHours)
	if err != nil {
		return time.UTC, err
	}
	return hours.Location(), nil
}

// offset returns the customer's start time, counted from local midnight. It is always the same for a customer;
// the customers are spread over the whole night.
func offset(customer string) time.Duration {
	return nightBegins + time.Duration(hashOf(customer)%uint64(nightLasts/time.Second))*time.Second
}

func hashOf(customer string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(customer)) // never fails
	return hash.Sum64()
}

// weekday returns the day of the week on which the customer's weekly jobs start.
func weekday(customer string) time.Weekday {
	return time.Weekday(hashOf(customer) / uint64(nightLasts/time.Second) % 7)
}

// NextWeekly returns the customer's next start time of a weekly job: the one of Next that is on the customer's day of the week.
func NextWeekly(customer string, zone *time.Location, after time.Time) time.Time {
	next := Next(customer, zone, after)
	for range 7 {
		if next.In(zone).Weekday() == weekday(customer) {
			return next
		}
		next = Next(customer, zone, next)
	}
	return next // no time zone has ever left out a day of the week twice
}

// Next returns the customer's next start time after the given moment. It is computed from local time for each
// day: if daylight saving skips that hour, the start moves by an hour; if the hour comes twice, the run starts once.
func Next(customer string, zone *time.Location, after time.Time) time.Time {
	local := after.In(zone)
	seconds := int(offset(customer) / time.Second)
	for ahead := range 3 {
		next := time.Date(local.Year(), local.Month(), local.Day()+ahead, 0, 0, seconds, 0, zone)
		if next.In(zone).Hour() >= noon {
			next = next.Add(time.Hour) // if a day begins at one o'clock, half past midnight would still be on the evening before
		}
		if next.After(after) {
			return next.UTC()
		}
	}
	return after.Add(24 * time.Hour).UTC() // no time zone has ever skipped two days
}
