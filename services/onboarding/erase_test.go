package main

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/worker"
)

// testdata/streams-changed-by-hand.md: the message was delivered again without end.
func TestMessageThatCannotBeErasedRaisesOneAlertAndLeavesStream(t *testing.T) {
	t.Parallel()
	const within = 30 * time.Second
	f := newIntakeFixture(t)
	server := testkit.NATS(t)
	conn := server.Conn(t)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, within))
	stream, err := js.Stream(t.Context(), bus.StreamOnboarding)
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.DenyDelete = true
	_, err = js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	f.erase = func(ctx context.Context, sequence uint64) error { return bus.Erase(ctx, stream, sequence) }
	consumer, err := js.Consumer(t.Context(), bus.StreamOnboarding, bus.DurableOnboarding)
	require.NoError(t, err)
	pull := &worker.Worker{
		Name: bus.DurableOnboarding, Conn: conn, Consumer: consumer, Slots: worker.FixedSlots(2), Handler: f.handle, Letters: f.letters, Logger: zap.NewNop(),
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- pull.Run(ctx) }()
	defer stop()

	for range 2 {
		_, err = js.Publish(t.Context(), bus.SubjectOnboard("acme"), []byte(wellFormed))
		require.NoError(t, err)
	}

	require.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, within, 20*time.Millisecond, "it comes again")
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM onboarding_requests`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.alerts.high.message_not_erased.acme'`))

	stop()
	require.NoError(t, <-ended)
	require.NoError(t, js.DeleteStream(t.Context(), bus.StreamOnboarding))
	require.NoError(t, bus.Ensure(t.Context(), js, 1, within))
	erasing, err := js.Stream(t.Context(), bus.StreamOnboarding)
	require.NoError(t, err)
	f.erase = func(ctx context.Context, sequence uint64) error { return bus.Erase(ctx, erasing, sequence) }
	again := message(bus.SubjectOnboard("acme"), wellFormed)
	again.Sequence = 9
	require.ErrorIs(t, f.handle(t.Context(), again), worker.ErrSettled)
	require.Zero(t, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}
