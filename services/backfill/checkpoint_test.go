package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestTheCheckpointNeverPassesTheScansStart(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before, during := began.Add(-time.Hour), began.Add(20*time.Minute)
	for name, row := range map[string]struct {
		highest *time.Time
		want    time.Time
	}{
		"a quiet organisation":             {&before, before.Add(-overlap)},
		"somebody changed during the scan": {&during, began.Add(-overlap)},
		"an organisation without users":    {nil, began.Add(-overlap)},
	} {
		require.Equal(t, row.want, checkpointOf(store.Run{ScanStartedAt: &began, HighestSeen: row.highest}), name)
	}
}

func TestParksDoubleUpToTheirLongest(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	for parks := range 7 {
		waits = append(waits, doubling(longestProbe, parks))
	}
	require.Equal(t, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}, waits)
	require.Equal(t, longestVomoPause, doubling(longestVomoPause, 1000))
}
