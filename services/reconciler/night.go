package main

import (
	"hash/fnv"
	"time"

	"rollcall.dev/pkg/window"
)

// The night, by the clock on the customer's wall.
const (
	nightBegins = 30 * time.Minute // after midnight
	nightLasts  = 4*time.Hour + 30*time.Minute
	noon        = 12
)

// zoneOf is where the customer's nights are: the zone of its quiet hours. Hours that cannot be read are told by whoever
// keeps them; the night is UTC's then.
func zoneOf(quietHours []byte) (*time.Location, error) {
	hours, err := window.Read(quietHours)
	if err != nil {
		return time.UTC, err
	}
	return hours.Location(), nil
}

// placeOf is when in the night a customer's turn is: its own, always the same, and spread over all of the night.
func placeOf(customer string) time.Duration {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(customer)) // never fails
	return nightBegins + time.Duration(hash.Sum64()%uint64(nightLasts/time.Second))*time.Second
}

// nextNight is the first moment after the given one at which the customer's turn is. It is asked of the wall's clock
// for each day anew: on a day without that hour the turn is an hour aside, on one that has it twice it comes once.
func nextNight(customer string, zone *time.Location, after time.Time) time.Time {
	local := after.In(zone)
	place := int(placeOf(customer) / time.Second)
	for ahead := range 3 {
		turn := time.Date(local.Year(), local.Month(), local.Day()+ahead, 0, 0, place, 0, zone)
		if turn.In(zone).Hour() >= noon {
			turn = turn.Add(time.Hour) // where a day begins at one o'clock, half past midnight is still in the evening before
		}
		if turn.After(after) {
			return turn.UTC()
		}
	}
	return after.Add(24 * time.Hour).UTC() // no zone has skipped two days
}
