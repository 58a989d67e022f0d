package pages

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
)

func TestSpeedSaysWhatBoundsAJob(t *testing.T) {
	t.Parallel()
	limit, near, far, quiet := 100.0, 95.0, 20.0, "quiet_hours"
	of := func(state string, requests *float64, waiting *string) string {
		status := report.Status{Backfill: &report.BackfillStatus{State: state, RequestsPerMinute: requests, WaitingFor: waiting},
			Budget: report.Budget{PerMinute: &limit}}
		return speeds(status)[0].BoundBy
	}
	require.Equal(t, "the API budget", of("running", &near, nil))
	require.Equal(t, "the destination", of("running", &far, nil))
	require.Equal(t, "free slots (BACKFILL_SLOTS)", of("queued", &far, nil))
	require.Equal(t, "it waits for quiet hours", of("parked", &far, &quiet))
	began := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	status := report.Status{Budget: report.Budget{PerMinute: &limit}}
	status.Polling.LastRun = &report.EndedRun{StartedAt: began, CompletedAt: began.Add(time.Minute), Processed: 300}
	require.Equal(t, []speed{{"last poll", 300, "the destination"}}, speeds(status))
	status.Polling.LastRun.CompletedAt = began.Add(10 * time.Millisecond)
	require.Empty(t, speeds(status), "a moment is too short to be measured")
}
