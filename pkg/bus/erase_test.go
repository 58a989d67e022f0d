package bus_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// These tests check the behaviour of the NATS server that onboarding relies on: a message with a token is erased
// while it is being processed, instead of being acked.

const secret = "vomo-token-0123456789abcdef"

func onboardingConsumer(t *testing.T, js jetstream.JetStream) (jetstream.Stream, jetstream.Consumer) {
	t.Helper()
	stream, err := js.Stream(bounded(t), bus.StreamOnboarding)
	require.NoError(t, err)
	consumer, err := js.Consumer(bounded(t), bus.StreamOnboarding, bus.DurableOnboarding)
	require.NoError(t, err)
	return stream, consumer
}

func TestErasedInFlightMessageLeavesNoBytesAndNoPendingAck(t *testing.T) {
	t.Parallel()
	server, js := ensured(t)
	stream, consumer := onboardingConsumer(t, js)
	for _, body := range []string{"before", secret, "after"} {
		_, err := js.Publish(bounded(t), bus.SubjectOnboard("acme"), []byte(body))
		require.NoError(t, err)
	}
	for range 2 {
		_, err := consumer.Next()
		require.NoError(t, err)
	}
	requireAckPending(t, consumer, 2)
	// The server keeps some writes in memory; a restart writes all of them to disk.
	server.Restart(t)
	require.NotEmpty(t, server.FilesWith(t, []byte(secret)), "the test looks in the wrong place")

	require.NoError(t, bus.Erase(bounded(t), stream, 2))
	requireAckPending(t, consumer, 1)
	require.Empty(t, server.FilesWith(t, []byte(secret)))

	server.Restart(t)
	require.Empty(t, server.FilesWith(t, []byte(secret)))
	requireAckPending(t, consumer, 1) // with 2, the consumer would still expect an ack for the erased message
	info, err := stream.Info(bounded(t))
	require.NoError(t, err)
	require.Equal(t, uint64(2), info.State.Msgs, "the other messages must stay")
	next, err := consumer.Next()
	require.NoError(t, err)
	require.Equal(t, "after", string(next.Data()))
}

func TestEraseOfErasedMessageSucceeds(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	stream, consumer := onboardingConsumer(t, js)
	_, err := js.Publish(bounded(t), bus.SubjectOnboard("acme"), []byte(secret))
	require.NoError(t, err)
	_, err = consumer.Next()
	require.NoError(t, err)
	require.NoError(t, bus.Erase(bounded(t), stream, 1))
	require.NoError(t, bus.Erase(bounded(t), stream, 1))
}

func TestEraseFailsIfServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	server, js := ensured(t)
	stream, _ := onboardingConsumer(t, js)
	_, err := js.Publish(bounded(t), bus.SubjectOnboard("acme"), []byte(secret))
	require.NoError(t, err)
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.Error(t, bus.Erase(ctx, stream, 1))
}

func TestErasedMessagesDoNotUseUpMaxAckPending(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	js := server.JetStream(t)
	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))
	stream, consumer := onboardingConsumer(t, js)
	config := consumer.CachedInfo().Config
	config.MaxAckPending = 20
	_, err := js.UpdateConsumer(bounded(t), bus.StreamOnboarding, config)
	require.NoError(t, err)
	const messages = 200
	for number := range messages {
		_, err := js.Publish(bounded(t), bus.SubjectOnboard("acme"), []byte(strconv.Itoa(number)))
		require.NoError(t, err)
	}
	for number := range messages {
		msg, err := consumer.Next()
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(number), string(msg.Data()))
		metadata, err := msg.Metadata()
		require.NoError(t, err)
		require.NoError(t, bus.Erase(bounded(t), stream, metadata.Sequence.Stream))
	}
	requireAckPending(t, consumer, 0)
}

// requireAckPending waits for the count, because the server answers a deletion before the consumer is updated.
func requireAckPending(t *testing.T, consumer jetstream.Consumer, count int) {
	t.Helper()
	require.Eventually(t, func() bool {
		info, err := consumer.Info(bounded(t))
		return err == nil && info.NumAckPending == count
	}, 30*time.Second, 10*time.Millisecond)
}
