package job_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
)

// The first line of testdata/words.md. The others: a redirect in destination_test.go, the field of a letter in package vomo
// (entry_test.go) and the CLI (dlq_test.go), refusals in refusals_test.go, broken messages in package rollcallv1.
func TestWhatTheLogKnowsOfAParkTheStatusSays(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.set(func(w *world) { w.says = `"maintenance"` })

	h.polled()

	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", h.run())
	status, err := report.StatusOf(t.Context(), h.store, "acme")
	require.NoError(t, err)
	require.Len(t, status.Health.Reasons, 1)
	reason := status.Health.Reasons[0]
	require.Equal(t, "vomo_unavailable", reason.Code)
	require.Contains(t, reason.Text, "VOMO's answer is not a page of users: it is no JSON object with a list of data")
	require.NotEmpty(t, reason.Remedy)
	require.WithinDuration(t, status.AsOf, *reason.Since, time.Minute)
	require.NotNil(t, status.Polling.OpenRun.DueAt)

	h.world.set(func(w *world) { w.says = "" })
	h.polled()
	status, err = report.StatusOf(t.Context(), h.store, "acme")
	require.NoError(t, err)
	require.Empty(t, status.Health.Reasons)
}
