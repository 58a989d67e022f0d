package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestEnsureSetsTheAgeOfAStreamUnlessAnOperatorTunedIt(t *testing.T) {
	t.Parallel()
	_, js := ensured(t) // as the version before: with 7 days
	ensure := func(age time.Duration) time.Duration {
		t.Helper()
		layout := limited()
		layout.MaxAge = map[string]time.Duration{bus.StreamAdvisories: age}
		_, err := layout.Ensure(bounded(t), js)
		require.NoError(t, err)
		return streamConfig(t, js, bus.StreamAdvisories).MaxAge
	}
	require.Equal(t, 3*day, ensure(3*day))
	require.Equal(t, 10*day, ensure(10*day))
	require.NoError(t, changeStream(bus.StreamAdvisories, func(config *jetstream.StreamConfig) { config.MaxAge = 90 * day })(bounded(t), js))
	require.Equal(t, 90*day, ensure(3*day), "the operator's age stays")
	require.Equal(t, 7*day, streamConfig(t, js, bus.StreamEvents).MaxAge)
	require.Empty(t, bus.Differences(bounded(t), js, ackWait))
}
