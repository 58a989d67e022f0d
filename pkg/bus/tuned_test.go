package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

const mib = 1 << 20

func limited() bus.Layout {
	return bus.Layout{Replicas: 1, AckWait: ackWait, MaxBytes: map[string]int64{
		bus.StreamEvents: 2048 * mib, bus.StreamAlerts: 256 * mib, bus.StreamAdvisories: 256 * mib, bus.StreamDLQ: 1024 * mib,
	}}
}

func TestEnsureKeepsOperatorsTuning(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	require.NoError(t, changeStream(bus.StreamEvents, func(config *jetstream.StreamConfig) {
		config.MaxAge, config.MaxBytes, config.MaxMsgs = 90*day, 5*mib, 1_000_000
		config.Description, config.Subjects = "tuned", append(config.Subjects, "partner.own.>")
		config.Duplicates, config.Metadata = time.Minute, map[string]string{"owner": "ops"}
		config.Compression = jetstream.S2Compression
	})(bounded(t), js))
	require.NoError(t, changeStream(bus.StreamBackfill, func(config *jetstream.StreamConfig) {
		config.MaxMsgSize, config.Description = 64<<10, "tuned"
	})(bounded(t), js))
	require.NoError(t, changeConsumer(func(config *jetstream.ConsumerConfig) {
		config.MaxAckPending, config.Description = 100, "tuned"
	})(bounded(t), js))
	events, backfill := streamConfig(t, js, bus.StreamEvents), streamConfig(t, js, bus.StreamBackfill)
	consumerOf := func() jetstream.ConsumerConfig {
		consumer, err := js.Consumer(bounded(t), bus.StreamBackfill, bus.DurableBackfill)
		require.NoError(t, err)
		return consumer.CachedInfo().Config
	}
	consumer := consumerOf()

	notes, err := limited().Ensure(bounded(t), js)
	require.NoError(t, err)

	require.Equal(t, events, streamConfig(t, js, bus.StreamEvents))
	require.Equal(t, backfill, streamConfig(t, js, bus.StreamBackfill))
	require.Equal(t, consumer, consumerOf())
	require.Empty(t, notes)
	require.Equal(t, int64(256*mib), streamConfig(t, js, bus.StreamAlerts).MaxBytes, "a stream that was not tuned gets its limit")
}

func TestEnsureRestoresWhatCorrectnessNeedsInTunedStream(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	require.NoError(t, changeStream(bus.StreamOnboarding, func(config *jetstream.StreamConfig) {
		config.MaxAge, config.MaxMsgsPerSubject, config.Discard, config.Subjects = time.Hour, 3, jetstream.DiscardOld, config.Subjects[:1]
		config.Description, config.Duplicates = "tuned", time.Minute
	})(bounded(t), js))
	require.NoError(t, changeConsumer(func(config *jetstream.ConsumerConfig) {
		config.BackOff, config.MaxDeliver, config.Description = []time.Duration{time.Second}, 1000, "tuned"
	})(bounded(t), js))
	require.ErrorIs(t, bus.Verify(bounded(t), js, ackWait), bus.ErrTopology)

	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))

	require.NoError(t, bus.Verify(bounded(t), js, ackWait))
	config := streamConfig(t, js, bus.StreamOnboarding)
	require.Equal(t, []any{time.Duration(0), int64(-1), jetstream.DiscardNew, "tuned", time.Minute},
		[]any{config.MaxAge, config.MaxMsgsPerSubject, config.Discard, config.Description, config.Duplicates})
	consumer, err := js.Consumer(bounded(t), bus.StreamBackfill, bus.DurableBackfill)
	require.NoError(t, err)
	require.Equal(t, -1, consumer.CachedInfo().Config.MaxDeliver, "a lane that is held for half an hour must not end the request")
}

func TestLimitsFollowTheirSettingUntilOperatorSetsThem(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	layout := limited()
	limit := func(name string) int64 { return streamConfig(t, js, name).MaxBytes }
	ensure := func() []string {
		notes, err := layout.Ensure(bounded(t), js)
		require.NoError(t, err)
		return notes
	}
	require.Empty(t, ensure())
	for name, want := range layout.MaxBytes {
		require.Equal(t, want, limit(name), name)
	}
	require.Equal(t, int64(-1), limit(bus.StreamBackfill), "work streams have none")

	layout.MaxBytes[bus.StreamEvents] = 3072 * mib
	require.Empty(t, ensure())
	require.Equal(t, int64(3072*mib), limit(bus.StreamEvents))

	require.NoError(t, changeStream(bus.StreamEvents, func(config *jetstream.StreamConfig) { config.MaxBytes = 10 * mib })(bounded(t), js))
	require.Empty(t, ensure())
	require.Equal(t, int64(10*mib), limit(bus.StreamEvents), "an operator lowered it")
}

func TestLimitIsAboveWhatStreamHolds(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	body := make([]byte, 512<<10)
	for range 6 {
		_, err := js.Publish(bounded(t), bus.SubjectEvent("user.created", "acme"), body)
		require.NoError(t, err)
	}
	layout := limited()
	layout.MaxBytes[bus.StreamEvents] = mib
	notes, err := layout.Ensure(bounded(t), js)
	require.NoError(t, err)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "ROLLCALL_EVENTS holds 3 MiB already")
	stream, err := js.Stream(bounded(t), bus.StreamEvents)
	require.NoError(t, err)
	require.Equal(t, uint64(6), stream.CachedInfo().State.Msgs)
	require.Greater(t, stream.CachedInfo().Config.MaxBytes, int64(stream.CachedInfo().State.Bytes))
}

func TestLimitsTakeHalfOfSmallServersStorage(t *testing.T) {
	t.Parallel()
	js := testkit.NATS(t, testkit.WithMaxStore(112*mib)).JetStream(t)
	for range 2 { // the second time, Ensure finds the limits that it set
		notes, err := limited().Ensure(bounded(t), js)
		require.NoError(t, err)
		require.Len(t, notes, 4)
		require.Contains(t, notes[3], "ROLLCALL_EVENTS is limited to 32 MiB instead of 2 GiB")
		for name, want := range map[string]int64{bus.StreamEvents: 32, bus.StreamDLQ: 16, bus.StreamAlerts: 4, bus.StreamAdvisories: 4} {
			require.Equal(t, want*mib, streamConfig(t, js, name).MaxBytes, name)
		}
	}
	require.NoError(t, bus.Verify(bounded(t), js, ackWait))
	_, err := js.Stream(bounded(t), "ROLLCALL_ROOM")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
}
