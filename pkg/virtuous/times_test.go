package virtuous

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimesWithoutZoneAreUTC(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2022-12-12T16:55:59":          "2022-12-12T16:55:59Z",
		"2022-12-12T16:55:59.3":        "2022-12-12T16:55:59.3Z",
		"2023-11-30T14:20:56.34":       "2023-11-30T14:20:56.34Z",
		"2023-11-30T14:20:56.277":      "2023-11-30T14:20:56.277Z",
		"2023-11-30T14:20:56.2771":     "2023-11-30T14:20:56.2771Z",
		"2023-11-30T14:20:56.27711":    "2023-11-30T14:20:56.27711Z",
		"2023-11-30T14:20:56.277111":   "2023-11-30T14:20:56.277111Z",
		"2023-11-30T14:20:56.3533333":  "2023-11-30T14:20:56.353333Z",
		"2023-12-08T16:56:52.6126031Z": "2023-12-08T16:56:52.612603Z",
		"2023-12-08T16:56:52Z":         "2023-12-08T16:56:52Z",
		"2023-12-08T16:56:52+02:00":    "2023-12-08T14:56:52Z",
		"2023-12-08 16:56:52.5":        "2023-12-08T16:56:52.5Z",
		" 2022-12-12T16:55:59 ":        "2022-12-12T16:55:59Z",
	} {
		at, err := ParseTime(text)
		require.NoError(t, err, text)
		require.Equal(t, want, at.Format(time.RFC3339Nano), text)
		require.Equal(t, time.UTC, at.Location())
	}
}

func TestMissingTimesAreZero(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "Unavailable", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z"} {
		at, err := ParseTime(text)
		require.NoError(t, err, text)
		require.True(t, at.IsZero(), text)
	}
}

func TestTextThatIsNoTimeIsRejected(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"yesterday", "2023-11-30", "12/7/2023", "2023-13-01T00:00:00", "1771570800",
		"2023-11-30T25:00:00", "9999-12-31T23:59:59", "1754-01-01T00:00:00"} {
		_, err := ParseTime(text)
		require.ErrorIs(t, err, ErrNotTime, text)
	}
}

func TestDatesOfTheOrganizationAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2023-12-07T00:00:00": "2023-12-07", "12/7/2023": "2023-12-07", "9/4/1998": "1998-09-04", "2026-02-19": "2026-02-19",
		"2026-02-19T23:59:59.9999999": "2026-02-19", "2026-02-19T23:59:59Z": "2026-02-19", "2/19/2026 12:00:00 AM": "2026-02-19",
		"": "", "Unavailable": "", "0001-01-01T00:00:00": "",
	} {
		date, err := ParseDate(text)
		require.NoError(t, err, text)
		require.Equal(t, want, date.String(), text)
		require.Equal(t, want == "", date.IsZero())
	}
	for _, text := range []string{"19.2.2026", "2026-02-30", "13/13/2026", "soon", "20260219"} {
		_, err := ParseDate(text)
		require.ErrorIs(t, err, ErrNotDate, text)
	}
}

func TestDateOfMomentIsThatOfItsZone(t *testing.T) {
	t.Parallel()
	phoenix, err := time.LoadLocation("US/Arizona")
	require.NoError(t, err)
	at := time.Date(2026, 2, 20, 6, 59, 59, 0, time.UTC)
	require.Equal(t, "2026-02-19", DateOf(at.In(phoenix)).String())
	require.Equal(t, "2026-02-20", DateOf(at).String())
	require.Equal(t, at.Add(time.Second), DateOf(at.Add(time.Second).In(phoenix)).In(phoenix).UTC())
}

func TestDateKeepsItsValueInJSON(t *testing.T) {
	t.Parallel()
	written, err := json.Marshal(Date{2026, time.February, 9})
	require.NoError(t, err)
	require.Equal(t, `"2026-02-09"`, string(written))
	var read Date
	require.NoError(t, json.Unmarshal(written, &read))
	require.Equal(t, Date{2026, time.February, 9}, read)
	require.Error(t, json.Unmarshal([]byte(`"soon"`), &read))
}

func TestTimesLessThanTenMillisecondsApartAreTheSame(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 11, 30, 14, 20, 56, 323_000_000, time.UTC)
	require.True(t, SameTime(at, at.Add(333*time.Microsecond)), "recorded: .323 of one endpoint is .3233333 of another")
	require.True(t, SameTime(at.Add(9999*time.Microsecond), at))
	require.False(t, SameTime(at, at.Add(10*time.Millisecond)))
	require.False(t, SameTime(at, at.Add(-10*time.Millisecond)))
}

func TestEveryRecordedTimeIsRead(t *testing.T) {
	t.Parallel()
	var recorded struct {
		Instants []string  `json:"instants_utc"`
		Dates    []string  `json:"dates_of_the_organisation"`
		None     []*string `json:"no_date"`
	}
	require.NoError(t, json.Unmarshal(payload(t, "made/timestamps.json"), &recorded))
	require.NotEmpty(t, recorded.Instants)
	for _, text := range recorded.Instants {
		at, err := ParseTime(text)
		require.NoError(t, err)
		require.False(t, at.IsZero(), text)
	}
	for _, text := range recorded.Dates {
		date, err := ParseDate(text)
		require.NoError(t, err)
		require.False(t, date.IsZero(), text)
	}
}
