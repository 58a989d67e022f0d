package testkit_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

func TestEachTestHasItsOwnNATSServer(t *testing.T) {
	t.Parallel()
	one, two := testkit.NATS(t), testkit.NATS(t)
	require.NotEqual(t, one.URL, two.URL)

	one.Stream(t, jetstream.StreamConfig{Name: "ONLY_HERE", Subjects: []string{"here"}})

	_, err := two.JetStream(t).Stream(t.Context(), "ONLY_HERE")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
}

func TestRestartedServerKeepsAddressAndMessages(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t, testkit.WithJetStreamKey("a key for this test"))
	stream := server.Stream(t, jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}})
	js := server.JetStream(t)
	_, err := js.Publish(t.Context(), "kept", []byte("still here"))
	require.NoError(t, err)
	before := server.URL

	server.Restart(t)

	require.Equal(t, before, server.URL)
	msg, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err, "connections made before the restart must reconnect")
	require.Equal(t, "still here", string(msg.Data))
}

func TestStoppedServerRefusesConnections(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)

	server.Stop()
	server.Stop()

	_, err := nats.Connect(server.URL)
	require.ErrorIs(t, err, nats.ErrNoServers)
}
