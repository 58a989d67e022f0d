package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
)

func TestCheckpointIsBeforeScanStartAndLatestChange(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	covered := began.Add(-30*time.Minute - scan.Overlap) // the previous poll had seen changes up to half an hour before
	at := func(d time.Duration) *time.Time { return new(began.Add(d)) }
	for name, row := range map[string]struct {
		highest *time.Time
		want    time.Time
	}{
		"a user changed during the scan":                     {at(20 * time.Second), began.Add(-scan.Overlap)},
		"the latest change was minutes ago":                  {at(-10 * time.Minute), began.Add(-10*time.Minute - scan.Overlap)},
		"no change since an import two days ago":             {at(-48 * time.Hour), began.Add(-quietTail - scan.Overlap)},
		"no change since the previous poll":                  {nil, began.Add(-30*time.Minute - scan.Overlap)},
		"the latest change was as long ago as lists may lag": {at(-quietTail), began.Add(-quietTail - scan.Overlap)},
	} {
		require.Equal(t, row.want, checkpointOf(store.Run{ScanStartedAt: &began, HighestSeen: row.highest, CoveredUntil: covered}, began.Add(time.Minute)), name)
	}
}

func TestCheckpointIsNotAheadOfDatabaseClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ahead := now.AddDate(1, 0, 0)

	require.Equal(t, now.Add(-scan.Overlap), checkpointOf(store.Run{ScanStartedAt: &ahead, HighestSeen: &ahead}, now))
}

func TestUserInLaggingListOfQuietOrganisationIsNotMissed(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	checkpoint := noon
	for at := noon.Add(scan.Overlap); at.Before(noon.Add(3 * time.Hour)); at = at.Add(15 * time.Minute) {
		checkpoint = checkpointOf(store.Run{ScanStartedAt: &at, CoveredUntil: checkpoint}, at)

		want := at.Add(-quietTail - scan.Overlap)
		if want.Before(noon) {
			want = noon // the list may not yet show changes since noon
		}
		require.Equal(t, want, checkpoint, at)
	}
}
