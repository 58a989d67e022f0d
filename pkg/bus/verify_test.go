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

// changeStream returns a function that changes a stream's configuration, as an operator could.
func changeStream(name string, change func(*jetstream.StreamConfig)) func(context.Context, jetstream.JetStream) error {
	return func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return err
		}
		config := stream.CachedInfo().Config
		change(&config)
		_, err = js.UpdateStream(ctx, config)
		return err
	}
}

func changeConsumer(change func(*jetstream.ConsumerConfig)) func(context.Context, jetstream.JetStream) error {
	return func(ctx context.Context, js jetstream.JetStream) error {
		consumer, err := js.Consumer(ctx, bus.StreamBackfill, bus.DurableBackfill)
		if err != nil {
			return err
		}
		config := consumer.CachedInfo().Config
		change(&config)
		_, err = js.UpdateConsumer(ctx, bus.StreamBackfill, config)
		return err
	}
}

func TestVerifyRejectsWrongStreamsAndConsumers(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]struct {
		change func(context.Context, jetstream.JetStream) error
		says   string
	}{
		"no stream": {func(ctx context.Context, js jetstream.JetStream) error {
			return js.DeleteStream(ctx, bus.StreamWriteback)
		}, bus.StreamWriteback},
		"no consumer": {func(ctx context.Context, js jetstream.JetStream) error {
			return js.DeleteConsumer(ctx, bus.StreamOnboarding, bus.DurableOnboarding)
		}, bus.DurableOnboarding},
		"another ack wait": {changeConsumer(func(config *jetstream.ConsumerConfig) { config.AckWait = time.Minute }), "CLAIM_TIMEOUT is 30s"},
		"a BackOff": {changeConsumer(func(config *jetstream.ConsumerConfig) {
			config.BackOff = []time.Duration{ackWait, time.Minute}
		}), "BackOff"},
		"a missing subject": {changeStream(bus.StreamOnboarding, func(config *jetstream.StreamConfig) {
			config.Subjects = config.Subjects[:1]
		}), "does not listen on rollcall.onboarding.offboard.*"},
		"two messages per subject": {changeStream(bus.StreamPoll, func(config *jetstream.StreamConfig) {
			config.MaxMsgsPerSubject = 2
		}), bus.StreamPoll},
		"discards old messages": {changeStream(bus.StreamBackfill, func(config *jetstream.StreamConfig) {
			config.DiscardNewPerSubject, config.Discard = false, jetstream.DiscardOld
		}), bus.StreamBackfill},
		// testdata/streams-changed-by-hand.md
		"deletions denied": {changeStream(bus.StreamOnboarding, func(config *jetstream.StreamConfig) { config.DenyDelete = true }),
			"ROLLCALL_ONBOARDING: denies deletions, so that no token in it can be erased"},
		"deletions of letters denied": {changeStream(bus.StreamDLQ, func(config *jetstream.StreamConfig) { config.DenyDelete = true }),
			"ROLLCALL_DLQ: denies deletions"},
		"sealed":                  {changeStream(bus.StreamEvents, func(config *jetstream.StreamConfig) { config.Sealed = true }), "ROLLCALL_EVENTS: is sealed"},
		"work with a maximum age": {changeStream(bus.StreamBackfill, func(config *jetstream.StreamConfig) { config.MaxAge = time.Hour }), "by their age"},
		"onboarding requests that replace each other": {changeStream(bus.StreamOnboarding, func(config *jetstream.StreamConfig) {
			config.MaxMsgsPerSubject = 1
		}), "drops older messages of a subject"},
		"another retention": {func(ctx context.Context, js jetstream.JetStream) error {
			stream, err := js.Stream(ctx, bus.StreamDonations)
			if err != nil {
				return err
			}
			config := stream.CachedInfo().Config
			config.Retention = jetstream.InterestPolicy
			if err := js.DeleteStream(ctx, bus.StreamDonations); err != nil {
				return err
			}
			_, err = js.CreateStream(ctx, config)
			return err
		}, "retention"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, js := ensured(t)
			require.NoError(t, bus.Verify(bounded(t), js, ackWait))
			require.NoError(t, wrong.change(bounded(t), js))
			err := bus.Verify(bounded(t), js, ackWait)
			require.ErrorIs(t, err, bus.ErrTopology)
			require.ErrorContains(t, err, wrong.says)
			require.ErrorContains(t, err, "rollcall migrate")
		})
	}
}

func TestVerifyAcceptsOperatorsTuning(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	for _, tune := range []func(context.Context, jetstream.JetStream) error{
		changeStream(bus.StreamEvents, func(config *jetstream.StreamConfig) {
			config.MaxAge = 90 * day
			config.MaxBytes = 1 << 30
			config.Subjects = append(config.Subjects, "partner.own.>")
		}),
		changeStream(bus.StreamBackfill, func(config *jetstream.StreamConfig) {
			config.Duplicates = time.Minute
			config.MaxMsgSize = 64 << 10
			config.Description = "tuned"
		}),
		changeConsumer(func(config *jetstream.ConsumerConfig) {
			config.MaxAckPending = 100
			config.MaxDeliver = 50
		}),
		func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "PARTNER", Subjects: []string{"partner.orders.>"}})
			return err
		},
		func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateConsumer(ctx, bus.StreamEvents, jetstream.ConsumerConfig{Durable: "partner", AckPolicy: jetstream.AckNonePolicy})
			return err
		},
	} {
		require.NoError(t, tune(bounded(t), js))
	}
	require.NoError(t, bus.Verify(bounded(t), js, ackWait))
}

func TestVerifyDistinguishesOutageFromWrongLayout(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	js := server.JetStream(t)
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := bus.Verify(ctx, js, ackWait)
	require.Error(t, err)
	require.NotErrorIs(t, err, bus.ErrTopology)
}
