package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	location, err := time.LoadLocation(name)
	require.NoError(t, err)
	return location
}

func TestCustomersAreSpreadOverTheNight(t *testing.T) {
	t.Parallel()
	halfHours := map[time.Duration]int{}
	for i := range 900 {
		customer := fmt.Sprintf("customer-%d", i)
		offset := nightOffset(customer)
		require.Equal(t, offset, nightOffset(customer), "the offset must stay the same")
		require.GreaterOrEqual(t, offset, 30*time.Minute)
		require.Less(t, offset, 5*time.Hour)
		halfHours[offset.Truncate(30*time.Minute)]++
	}
	require.Len(t, halfHours, 9)
	for half, customers := range halfHours {
		require.InDelta(t, 100, customers, 60, "the night must be used evenly: %s", half)
	}
}

func TestNextNightIsOncePerNightDespiteDaylightSaving(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"UTC", "America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo", "America/Havana", "Pacific/Auckland",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			location := zone(t, name)
			for i := range 40 {
				customer := fmt.Sprintf("customer-%d", i)
				at := time.Date(2026, 1, 1, 12, 0, 0, 0, location)
				for range 366 {
					next := nextNight(customer, location, at)
					local := next.In(location)
					require.True(t, next.After(at))
					today := at.In(location)
					tomorrow := time.Date(today.Year(), today.Month(), today.Day()+1, 12, 0, 0, 0, location)
					require.Equal(t, tomorrow.YearDay(), local.YearDay(), "%s: the night after %s", customer, at)
					require.Less(t, local.Hour(), 5)
					require.GreaterOrEqual(t, 60*local.Hour()+local.Minute(), 30)
					at = next
				}
			}
		})
	}
}

func TestNightIsInZoneOfQuietHours(t *testing.T) {
	t.Parallel()
	none, err := zoneOf(nil)
	require.NoError(t, err)
	require.Equal(t, time.UTC, none)
	tokyo, err := zoneOf([]byte(`{"from":"08:00","to":"18:00","zone":"Asia/Tokyo"}`))
	require.NoError(t, err)
	require.Equal(t, "Asia/Tokyo", tokyo.String())
	broken, err := zoneOf([]byte(`{"from":"08:00","to":"18:00","zone":"Atlantis/Poseidonis"}`))
	require.Error(t, err)
	require.Equal(t, time.UTC, broken)

	next := nextNight("acme", tokyo, time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	require.Less(t, next.In(tokyo).Hour(), 5)
	require.Equal(t, 3, next.In(tokyo).Day())
}

func TestLateReconciliationReadsFromTheDayBeforeItWasDue(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		moment, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return moment
	}
	for name, c := range map[string]struct{ now, due, lastReconciled, since string }{
		"in time":                {"2026-03-02T01:00:01Z", "2026-03-02T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"hours late":             {"2026-03-02T23:00:00Z", "2026-03-02T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"three days late":        {"2026-03-05T10:00:00Z", "2026-03-02T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"before midnight":        {"2026-03-02T00:00:01Z", "2026-03-01T23:59:59Z", "2026-02-27T00:00:00Z", "2026-02-28T00:00:00Z"},
		"far too late":           {"2026-12-05T10:00:00Z", "2026-03-02T01:00:00Z", "2026-02-28T00:00:00Z", "2026-11-03T00:00:00Z"},
		"two runs were given up": {"2026-03-04T01:00:01Z", "2026-03-04T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		"requested by hand":      {"2026-03-02T01:00:01Z", "2026-03-02T01:00:00Z", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		"before it was due":      {"2026-03-02T01:00:00Z", "2026-03-04T01:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, at(c.since), sinceOf(at(c.now), at(c.due), at(c.lastReconciled)))
		})
	}
}
