package night

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
		at := offset(customer)
		require.Equal(t, at, offset(customer), "the offset must stay the same")
		require.GreaterOrEqual(t, at, 30*time.Minute)
		require.Less(t, at, 5*time.Hour)
		halfHours[at.Truncate(30*time.Minute)]++
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
					next := Next(customer, location, at)
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
	none, err := Zone(nil)
	require.NoError(t, err)
	require.Equal(t, time.UTC, none)
	tokyo, err := Zone([]byte(`{"from":"08:00","to":"18:00","zone":"Asia/Tokyo"}`))
	require.NoError(t, err)
	require.Equal(t, "Asia/Tokyo", tokyo.String())
	broken, err := Zone([]byte(`{"from":"08:00","to":"18:00","zone":"Atlantis/Poseidonis"}`))
	require.Error(t, err)
	require.Equal(t, time.UTC, broken)

	next := Next("acme", tokyo, time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	require.Less(t, next.In(tokyo).Hour(), 5)
	require.Equal(t, 3, next.In(tokyo).Day())
}

func TestWeeklyJobsAreSpreadOverTheWeekAndOnceAWeek(t *testing.T) {
	t.Parallel()
	days := map[time.Weekday]int{}
	chicago := zone(t, "America/Chicago")
	for i := range 700 {
		customer := fmt.Sprintf("customer-%d", i)
		at := time.Date(2026, 1, 1, 12, 0, 0, 0, chicago)
		first := NextWeekly(customer, chicago, at)
		days[first.In(chicago).Weekday()]++
		for next := first; next.Before(at.AddDate(1, 0, 0)); {
			following := NextWeekly(customer, chicago, next)
			require.InDelta(t, 7*24, following.Sub(next).Hours(), 1, "an hour of daylight saving")
			require.Equal(t, first.In(chicago).Weekday(), following.In(chicago).Weekday())
			next = following
		}
	}
	require.Len(t, days, 7)
	for day, customers := range days {
		require.InDelta(t, 100, customers, 50, day)
	}
}
