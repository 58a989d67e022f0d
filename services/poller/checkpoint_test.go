package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
)

func TestTheCheckpointNeverPassesTheScansStartNorALatestChangeOfTheHour(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *time.Time { return new(began.Add(d)) }
	for name, row := range map[string]struct {
		highest *time.Time
		want    time.Time
	}{
		"somebody changed during the scan":                        {at(20 * time.Second), began.Add(-scan.Overlap)},
		"the latest change was a while ago":                       {at(-10 * time.Minute), began.Add(-10*time.Minute - scan.Overlap)},
		"an organisation that fell silent after an import":        {at(-48 * time.Hour), began.Add(-quietTail - scan.Overlap)},
		"nobody changed, and the filter is precise to the second": {nil, began.Add(-scan.Overlap)},
		"the latest change was just as long ago as lists may lag": {at(-quietTail), began.Add(-quietTail - scan.Overlap)},
	} {
		require.Equal(t, row.want, checkpointOf(store.SyncRun{ScanStartedAt: &began, HighestSeen: row.highest}, began.Add(time.Minute)), name)
	}
}

func TestADateThatIsAheadOfUsDoesNotCarryTheCheckpointPastWhatIsYetToCome(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ahead := now.AddDate(1, 0, 0)

	require.Equal(t, now.Add(-scan.Overlap), checkpointOf(store.SyncRun{ScanStartedAt: &ahead}, now))
}
