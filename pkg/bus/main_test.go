package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	soon    = 15 * time.Second
	ackWait = 30 * time.Second
)

// ensured starts a server with every stream and consumer.
func ensured(t *testing.T) (*testkit.NATSServer, jetstream.JetStream) {
	t.Helper()
	server := testkit.NATS(t)
	js := server.JetStream(t)
	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))
	return server, js
}

// bounded returns the test's context with a timeout.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

// streamConfig returns a stream's configuration from the server.
func streamConfig(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	stream, err := js.Stream(bounded(t), name)
	require.NoError(t, err)
	return stream.CachedInfo().Config
}
