package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
)

func TestCheckpointIsNotAfterTheScansStart(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before, during := began.Add(-time.Hour), began.Add(20*time.Minute)
	for name, row := range map[string]struct {
		highest *time.Time
		want    time.Time
	}{
		"a quiet organisation":           {&before, before.Add(-scan.Overlap)},
		"a user changed during the scan": {&during, began.Add(-scan.Overlap)},
		"an organisation without users":  {nil, began.Add(-scan.Overlap)},
	} {
		require.Equal(t, row.want, checkpointOf(store.Run{ScanStartedAt: &began, HighestSeen: row.highest}, began.Add(time.Hour)), name)
	}
}
