package window_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/window"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func hours(t *testing.T, from, to, zone string, weekdays ...string) window.Hours {
	t.Helper()
	parsed, errs := window.Parse(&rollcallv1.QuietHours{From: from, To: to, Zone: zone, Weekdays: weekdays})
	require.Empty(t, errs)
	return parsed
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return moment
}

func TestBackfillWaitsForEndOfQuietHours(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hours window.Hours
		now   string
		until string // "": no wait
	}{
		"before quiet hours":                {hours(t, "08:00", "18:00", "America/Chicago"), "2026-01-14T13:59:59Z", ""},
		"quiet hours begin":                 {hours(t, "08:00", "18:00", "America/Chicago"), "2026-01-14T14:00:00Z", "2026-01-15T00:00:00Z"},
		"in summer they are earlier in UTC": {hours(t, "08:00", "18:00", "America/Chicago"), "2026-07-14T13:00:00Z", "2026-07-14T23:00:00Z"},
		"quiet hours have ended":            {hours(t, "08:00", "18:00", "America/Chicago"), "2026-01-15T00:00:00Z", ""},
		"over midnight, the evening":        {hours(t, "22:00", "06:00", "Europe/Madrid"), "2026-01-14T21:30:00Z", "2026-01-15T05:00:00Z"},
		"over midnight, the morning":        {hours(t, "22:00", "06:00", "Europe/Madrid"), "2026-01-15T04:59:00Z", "2026-01-15T05:00:00Z"},
		"over midnight, by day":             {hours(t, "22:00", "06:00", "Europe/Madrid"), "2026-01-15T05:00:00Z", ""},
		"until midnight":                    {hours(t, "20:00", "24:00", "UTC"), "2026-01-14T23:59:59Z", "2026-01-15T00:00:00Z"},
		"from midnight":                     {hours(t, "00:00", "04:00", "UTC"), "2026-01-14T00:00:00Z", "2026-01-14T04:00:00Z"},
		"zone with a half-hour offset":      {hours(t, "09:00", "17:00", "Asia/Kolkata"), "2026-01-14T03:30:00Z", "2026-01-14T11:30:00Z"},
		// 2026-03-08 in Chicago: the clock goes from 02:00 to 03:00, at 08:00Z.
		"the begin is skipped":          {hours(t, "02:30", "05:00", "America/Chicago"), "2026-03-08T08:00:00Z", "2026-03-08T10:00:00Z"},
		"just before a skipped begin":   {hours(t, "02:30", "05:00", "America/Chicago"), "2026-03-08T07:59:59Z", ""},
		"the end is skipped":            {hours(t, "01:00", "02:30", "America/Chicago"), "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"},
		"all quiet hours are skipped":   {hours(t, "02:15", "02:45", "America/Chicago"), "2026-03-08T08:00:00Z", ""},
		"a night that is an hour short": {hours(t, "22:00", "06:00", "America/Chicago"), "2026-03-08T04:00:00Z", "2026-03-08T11:00:00Z"},
		// 2026-11-01 in Chicago: the clock goes from 02:00 back to 01:00, at 07:00Z.
		"repeated hour, first time":    {hours(t, "01:15", "01:45", "America/Chicago"), "2026-11-01T06:20:00Z", "2026-11-01T06:45:00Z"},
		"repeated hour, second time":   {hours(t, "01:15", "01:45", "America/Chicago"), "2026-11-01T07:20:00Z", "2026-11-01T07:45:00Z"},
		"between the repetitions":      {hours(t, "01:15", "01:45", "America/Chicago"), "2026-11-01T07:00:00Z", ""},
		"the begin is repeated":        {hours(t, "01:30", "03:00", "America/Chicago"), "2026-11-01T06:30:00Z", "2026-11-01T07:00:00Z"},
		"a night that is an hour long": {hours(t, "22:00", "06:00", "America/Chicago"), "2026-11-01T03:00:00Z", "2026-11-01T12:00:00Z"},
		// 2026-01-16 is a Friday.
		"a working day":                 {hours(t, "08:00", "18:00", "UTC", "mon", "tue", "wed", "thu", "fri"), "2026-01-16T12:00:00Z", "2026-01-16T18:00:00Z"},
		"a day without quiet hours":     {hours(t, "08:00", "18:00", "UTC", "mon", "tue", "wed", "thu", "fri"), "2026-01-17T12:00:00Z", ""},
		"the morning after":             {hours(t, "22:00", "06:00", "UTC", "fri"), "2026-01-17T05:00:00Z", "2026-01-17T06:00:00Z"},
		"the morning before":            {hours(t, "22:00", "06:00", "UTC", "fri"), "2026-01-16T05:00:00Z", ""},
		"days in a row without a pause": {hours(t, "00:00", "24:00", "UTC", "mon", "tue", "wed", "thu", "fri"), "2026-01-12T00:00:00Z", "2026-01-17T00:00:00Z"},
		"all but an hour of the week":   {hours(t, "01:00", "00:59", "UTC"), "2026-01-12T01:00:00Z", "2026-01-13T00:59:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wait := window.Window{Quiet: c.hours}.WaitAt(at(t, c.now))
			if c.until == "" {
				require.False(t, wait.Needed(), "%v", wait)
				return
			}
			require.Equal(t, window.Wait{Reason: window.ReasonQuietHours, Until: at(t, c.until)}, wait)
		})
	}
}

// isQuiet decides independently of the package whether a moment is quiet: it compares local time as text.
func isQuiet(moment time.Time, location *time.Location, from, to string) bool {
	local := moment.In(location).Format("15:04")
	if from < to {
		return local >= from && local < to
	}
	return local >= from || local < to
}

func TestNextChangeMatchesLocalTimeMinuteByMinute(t *testing.T) {
	t.Parallel()
	// Zones with an hour, half an hour and no change, one that changes at midnight, and one that skipped a day.
	zones := map[string]string{
		"America/Chicago": "2026-03-07T12:00:00Z", "Europe/Berlin": "2026-10-24T12:00:00Z", "Australia/Lord_Howe": "2026-04-04T00:00:00Z",
		"Africa/Cairo": "2026-04-23T06:00:00Z", "Asia/Kathmandu": "2026-05-01T00:00:00Z", "Pacific/Apia": "2011-12-29T00:00:00Z",
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for zone, around := range zones {
		location, err := time.LoadLocation(zone)
		require.NoError(t, err)
		for range 20 {
			from := time.Unix(int64(dice.IntN(24*60))*60, 0).UTC().Format("15:04")
			to := time.Unix(int64(dice.IntN(24*60))*60, 0).UTC().Format("15:04")
			if from == to {
				continue
			}
			quiet := window.Window{Quiet: hours(t, from, to, zone)}
			begin := at(t, around).Add(time.Duration(dice.IntN(3600)) * time.Second)
			now := begin
			for range 8 {
				now = compareUntilChange(t, quiet, now, location, from, to)
			}
		}
	}
}

// compareUntilChange finds the next change minute by minute and compares it with the package's answer.
func compareUntilChange(t *testing.T, quiet window.Window, now time.Time, location *time.Location, from, to string) time.Time {
	t.Helper()
	isQuietNow := isQuiet(now, location, from, to)
	minute := now.Truncate(time.Minute).Add(time.Minute)
	for isQuiet(minute, location, from, to) == isQuietNow {
		minute = minute.Add(time.Minute)
	}
	if isQuietNow {
		require.Equal(t, minute, quiet.WaitAt(now).Until, "%s-%s %s at %s", from, to, location, now)
		return minute
	}
	require.False(t, quiet.WaitAt(now).Needed(), "%s-%s %s at %s", from, to, location, now)
	change, known := quiet.QuietAfter(now)
	require.True(t, known)
	require.Equal(t, minute, change, "%s-%s %s at %s", from, to, location, now)
	return minute
}

func TestBackfillWaitsForNotBeforeAndForQuietHoursAtThatTime(t *testing.T) {
	t.Parallel()
	day := window.Window{NotBefore: at(t, "2026-01-20T12:00:00Z")}
	require.Equal(t, window.Wait{Reason: window.ReasonNotBefore, Until: day.NotBefore}, day.WaitAt(at(t, "2026-01-20T11:59:59Z")))
	require.False(t, day.WaitAt(day.NotBefore).Needed())

	day.Quiet = hours(t, "08:00", "18:00", "UTC")
	require.Equal(t, window.Wait{Reason: window.ReasonNotBefore, Until: at(t, "2026-01-20T18:00:00Z")}, day.WaitAt(at(t, "2026-01-14T20:00:00Z")))
	require.Equal(t, window.Wait{Reason: window.ReasonQuietHours, Until: at(t, "2026-01-20T18:00:00Z")}, day.WaitAt(day.NotBefore))
	require.True(t, window.Window{}.Always())
	require.False(t, window.Window{}.WaitAt(day.NotBefore).Needed())
}

func TestFinishAddsQuietHours(t *testing.T) {
	t.Parallel()
	working := window.Window{Quiet: hours(t, "08:00", "18:00", "UTC")}
	start := at(t, "2026-01-14T06:00:00Z")
	require.Equal(t, start.Add(time.Hour), working.Finish(start, time.Hour))
	require.Equal(t, at(t, "2026-01-14T08:00:00Z"), working.Finish(start, 2*time.Hour))
	require.Equal(t, at(t, "2026-01-14T19:00:00Z"), working.Finish(start, 3*time.Hour))
	require.Equal(t, at(t, "2026-01-15T19:00:00Z"), working.Finish(start, 17*time.Hour))
	require.Equal(t, start.Add(17*time.Hour), window.Window{}.Finish(start, 17*time.Hour))
	require.False(t, working.Finish(start, 1<<62).IsZero(), "Finish must return for any amount of work")
}

func TestInvalidQuietHoursAreRejectedByField(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asked *rollcallv1.QuietHours
		field string
		says  string
	}{
		"no beginning":       {&rollcallv1.QuietHours{To: "18:00", Zone: "UTC"}, "quietHours.from", "is missing"},
		"no end":             {&rollcallv1.QuietHours{From: "08:00", Zone: "UTC"}, "quietHours.to", "is missing"},
		"no zone":            {&rollcallv1.QuietHours{From: "08:00", To: "18:00"}, "quietHours.zone", "America/Chicago"},
		"an unknown zone":    {&rollcallv1.QuietHours{From: "08:00", To: "18:00", Zone: "America/Sesame"}, "quietHours.zone", "IANA"},
		"an offset":          {&rollcallv1.QuietHours{From: "08:00", To: "18:00", Zone: "+01:00"}, "quietHours.zone", "IANA"},
		"the machine's zone": {&rollcallv1.QuietHours{From: "08:00", To: "18:00", Zone: "Local"}, "quietHours.zone", "IANA"},
		"leap seconds":       {&rollcallv1.QuietHours{From: "08:00", To: "18:00", Zone: "right/UTC"}, "quietHours.zone", "IANA"},
		"another file":       {&rollcallv1.QuietHours{From: "08:00", To: "18:00", Zone: "../../etc/passwd"}, "quietHours.zone", "IANA"},
		"noon in words":      {&rollcallv1.QuietHours{From: "8am", To: "18:00", Zone: "UTC"}, "quietHours.from", "08:00"},
		"25 o'clock":         {&rollcallv1.QuietHours{From: "08:00", To: "25:00", Zone: "UTC"}, "quietHours.to", "08:00"},
		"24:00 begins":       {&rollcallv1.QuietHours{From: "24:00", To: "08:00", Zone: "UTC"}, "quietHours.from", "08:00"},
		"a line break":       {&rollcallv1.QuietHours{From: "08:00\n", To: "18:00", Zone: "UTC"}, "quietHours.from", "08:00"},
		"no length":          {&rollcallv1.QuietHours{From: "08:00", To: "08:00", Zone: "UTC"}, "quietHours.to", "same"},
		"no hour left":       {&rollcallv1.QuietHours{From: "00:00", To: "24:00", Zone: "UTC"}, "quietHours.to", "no hour"},
		"Funday":             {&rollcallv1.QuietHours{From: "08:00", To: "18:00", Zone: "UTC", Weekdays: []string{"mon", "fun"}}, "quietHours.weekdays", "mon, tue"},
	} {
		errs := rollcallv1.FieldErrors{}
		window.Check(errs, c.asked)
		require.Len(t, errs, 1, name)
		require.Contains(t, errs[c.field][0], c.says, name)
	}
}

func TestQuietHoursAreStoredAsRequestedAndReadBackEqual(t *testing.T) {
	t.Parallel()
	for _, kept := range []window.Hours{
		{}, hours(t, "08:00", "18:00", "America/Chicago"), hours(t, "22:00", "24:00", "UTC", "sun", "sat"),
	} {
		stored, err := kept.Encode()
		require.NoError(t, err)
		again, err := window.Read(stored)
		require.NoError(t, err)
		require.True(t, kept.Equal(again), "%s", stored)
	}
	everyDay, err := hours(t, "08:00", "18:00", "UTC", "mon", "tue", "wed", "thu", "fri", "sat", "sun").Encode()
	require.NoError(t, err)
	require.JSONEq(t, `{"from":"08:00","to":"18:00","zone":"UTC"}`, string(everyDay))
	require.False(t, hours(t, "08:00", "18:00", "UTC").Equal(hours(t, "08:00", "18:00", "Etc/UTC")))
	_, err = window.Read([]byte(`{"from":"08:00","to":"18:00","zone":"Mars/Olympus"}`))
	require.ErrorContains(t, err, "quietHours.zone")
}
