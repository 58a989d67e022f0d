package main

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/testkit"
)

func TestQueuesAreInTheOrderOfTheWorkWithTheirOldestMessage(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	server.Stream(t, jetstream.StreamConfig{Name: "PARTNERS", Subjects: []string{"partners.>"}})
	server.Stream(t, jetstream.StreamConfig{Name: bus.StreamAlerts, Subjects: []string{"rollcall.alerts.>"}})
	server.Stream(t, jetstream.StreamConfig{Name: bus.StreamBackfill, Subjects: []string{"rollcall.backfill.>"}})
	_, err := server.JetStream(t).Publish(t.Context(), "rollcall.alerts.high.auth_failed.acme", nil)
	require.NoError(t, err)
	found, err := queues(t.Context(), server.JetStream(t))
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, report.BoardQueue{Stream: bus.StreamBackfill}, found[0])
	require.Equal(t, bus.StreamAlerts, found[1].Stream)
	require.EqualValues(t, 1, found[1].Messages)
	require.Less(t, *found[1].OldestSeconds, int64(60))
}
