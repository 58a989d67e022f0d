package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestStreamCreatedHasMicrosecondsAndSurvivesRestart(t *testing.T) {
	t.Parallel()
	server, js := ensured(t)
	created, err := bus.StreamCreated(bounded(t), js, bus.StreamOnboarding)
	require.NoError(t, err)
	require.Equal(t, created.Truncate(time.Microsecond), created)
	require.Equal(t, time.UTC, created.Location())
	require.WithinDuration(t, time.Now(), created, time.Minute)

	require.NoError(t, bus.Ensure(bounded(t), js, 1, 2*ackWait))
	server.Restart(t)
	again, err := bus.StreamCreated(bounded(t), js, bus.StreamOnboarding)
	require.NoError(t, err)
	require.Equal(t, created, again)
}

func TestRecreatedStreamHasLaterCreationTime(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	created, err := bus.StreamCreated(bounded(t), js, bus.StreamOnboarding)
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(bounded(t), bus.StreamOnboarding))
	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))
	recreated, err := bus.StreamCreated(bounded(t), js, bus.StreamOnboarding)
	require.NoError(t, err)
	require.True(t, recreated.After(created))
}

func TestStreamCreatedOfMissingStreamFails(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	_, err := bus.StreamCreated(bounded(t), js, "NOWHERE")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
}
