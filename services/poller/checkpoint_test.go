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
	asked := began.Add(-30*time.Minute - scan.Overlap) // what the poll before had seen was half an hour old
	at := func(d time.Duration) *time.Time { return new(began.Add(d)) }
	for name, row := range map[string]struct {
		highest *time.Time
		want    time.Time
	}{
		"somebody changed during the scan":                        {at(20 * time.Second), began.Add(-scan.Overlap)},
		"the latest change was a while ago":                       {at(-10 * time.Minute), began.Add(-10*time.Minute - scan.Overlap)},
		"an organisation that fell silent after an import":        {at(-48 * time.Hour), began.Add(-quietTail - scan.Overlap)},
		"nobody changed since the poll before":                    {nil, began.Add(-30*time.Minute - scan.Overlap)},
		"the latest change was just as long ago as lists may lag": {at(-quietTail), began.Add(-quietTail - scan.Overlap)},
	} {
		require.Equal(t, row.want, checkpointOf(store.SyncRun{ScanStartedAt: &began, HighestSeen: row.highest, CoveredUntil: asked}, began.Add(time.Minute)), name)
	}
}

func TestADateThatIsAheadOfUsDoesNotCarryTheCheckpointPastWhatIsYetToCome(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ahead := now.AddDate(1, 0, 0)

	require.Equal(t, now.Add(-scan.Overlap), checkpointOf(store.SyncRun{ScanStartedAt: &ahead, HighestSeen: &ahead}, now))
}

func TestAListThatLagsByMinutesLosesNobodyInAQuietOrganisation(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	checkpoint := noon
	for at := noon.Add(scan.Overlap); at.Before(noon.Add(3 * time.Hour)); at = at.Add(15 * time.Minute) {
		checkpoint = checkpointOf(store.SyncRun{ScanStartedAt: &at, CoveredUntil: checkpoint}, at)

		want := at.Add(-quietTail - scan.Overlap)
		if want.Before(noon) {
			want = noon // those who changed since may not be in the list yet
		}
		require.Equal(t, want, checkpoint, at)
	}
}
