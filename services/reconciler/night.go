package main

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

// zoneOf returns the customer's time zone, which is that of its quiet hours. If the stored hours are invalid, it
// returns UTC and the error.
func zoneOf(quietHours []byte) (*time.Location, error) {
	hours, err := window.Read(quietHours)
	if err != nil {
		return time.UTC, err
	}
	return hours.Location(), nil
}

// nightOffset returns the customer's start time, counted from local midnight. It is always the same for a customer;
// the customers are spread over the whole night.
func nightOffset(customer string) time.Duration {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(customer)) // never fails
	return nightBegins + time.Duration(hash.Sum64()%uint64(nightLasts/time.Second))*time.Second
}

// nextNight returns the customer's next start time after the given moment. It is computed from local time for each
// day: if daylight saving skips that hour, the start moves by an hour; if the hour comes twice, the run starts once.
func nextNight(customer string, zone *time.Location, after time.Time) time.Time {
	local := after.In(zone)
	offset := int(nightOffset(customer) / time.Second)
	for ahead := range 3 {
		next := time.Date(local.Year(), local.Month(), local.Day()+ahead, 0, 0, offset, 0, zone)
		if next.In(zone).Hour() >= noon {
			next = next.Add(time.Hour) // if a day begins at one o'clock, half past midnight would still be on the evening before
		}
		if next.After(after) {
			return next.UTC()
		}
	}
	return after.Add(24 * time.Hour).UTC() // no time zone has ever skipped two days
}
