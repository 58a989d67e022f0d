package dev

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestResultLineCountsTheDifferences(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1,000 of 1,000 users mirrored, 0 differences", comparison{Source: 1_000}.line())
	require.Equal(t, "999 of 1,000 users mirrored, 1 difference", comparison{Source: 1_000, Missing: 1}.line())
	require.Equal(t, "998 of 1,000 users mirrored, 1,007 differences",
		comparison{Source: 1_000, Missing: 2, Extra: 1_001, Different: 4}.line())
}

func TestDifferencesAreNamedWithoutTheirValues(t *testing.T) {
	t.Parallel()
	found := comparison{
		MissingIDs:  []string{"vomo-1", "vomo-2", "vomo-3", "vomo-4", "vomo-5", "vomo-6"},
		ExtraIDs:    []string{"vomo-9"},
		Differences: []recordDifference{{ExternalID: "vomo-7", Fields: []string{"email", "phone"}}},
	}
	require.Equal(t, []string{
		"vomo-1 is missing in the destination", "vomo-2 is missing in the destination", "vomo-3 is missing in the destination",
		"vomo-4 is missing in the destination", "vomo-5 is missing in the destination",
		"vomo-9 has no user in the source", "vomo-7 differs in email, phone",
	}, found.details())
}

func TestRateCountsTheGapsBetweenRequests(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	seen := traffic{Requests: 68, FirstAt: first, LastAt: first.Add(40*time.Second + 602*time.Millisecond), MaxPerMinute: 68}
	require.Equal(t, "rate: 99.0 of 100 requests a minute allowed (99 %), never more than 68 in any sliding minute", seen.rateLine(100))
	seen.LastAt = first.Add(42*time.Second + 500*time.Millisecond) // 94.6 %: not to be rounded up
	require.Equal(t, "rate: 94.6 of 100 requests a minute allowed (94 %), never more than 68 in any sliding minute", seen.rateLine(100))
}

func TestTooFewRequestsMakeNoRate(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	require.Empty(t, traffic{}.rateLine(100))
	require.Empty(t, traffic{Requests: 3, FirstAt: first, LastAt: first.Add(time.Second)}.rateLine(100))
	require.Empty(t, traffic{Requests: 30, FirstAt: first, LastAt: first}.rateLine(100))
}

func TestTimesAreWrittenInWords(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int64]string{0: "0 s", 41: "41 s", 119: "119 s", 120: "2 min", 121: "3 min", 7_199: "2 h 0 min", 20_100: "5 h 35 min"} {
		require.Equal(t, want, inWords(seconds))
	}
}
