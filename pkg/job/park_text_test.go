package job_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
)

// Texts of other failures are tested with them: a redirect in destination_test.go, a field of a letter in package vomo
// (entry_test.go) and the CLI (dlq_test.go), refusals in refusals_test.go, broken messages in package rollcallv1.
func TestStatusSaysWhatStoppedAParkedRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.set(func(w *sides) { w.says = `"maintenance"` })

	f.polled()

	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", f.run())
	status, err := report.StatusOf(t.Context(), f.store, "acme")
	require.NoError(t, err)
	require.Len(t, status.Health.Reasons, 1)
	reason := status.Health.Reasons[0]
	require.Equal(t, "vomo_unavailable", reason.Code)
	require.Contains(t, reason.Text, "VOMO's answer is not a page of users: it is no JSON object with a list of data")
	require.NotEmpty(t, reason.Remedy)
	require.WithinDuration(t, status.AsOf, *reason.Since, time.Minute)
	require.NotNil(t, status.Polling.OpenRun.DueAt)

	f.sides.set(func(w *sides) { w.says = "" })
	f.polled()
	status, err = report.StatusOf(t.Context(), f.store, "acme")
	require.NoError(t, err)
	require.Empty(t, status.Health.Reasons)
}
