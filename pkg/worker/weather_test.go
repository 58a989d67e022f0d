package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/worker"
)

func done(context.Context, *worker.Delivery) error { return nil }

// awaitPull waits until the server holds a request for a message.
func (b *bench) awaitPull(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return b.consumerInfo(t).NumWaiting > 0 }, soon, 10*time.Millisecond)
}

func TestAnIdleWorkerEndsWhenItsConsumerIsDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	idle := b.start(t, &worker.Worker{Handler: done})
	b.awaitPull(t)
	require.NoError(t, b.stream.DeleteConsumer(t.Context(), durable))
	require.ErrorIs(t, idle.result(t), jetstream.ErrConsumerDeleted)
}

func TestABusyWorkerEndsWhenWhatItPullsFromIsDeleted(t *testing.T) {
	t.Parallel()
	for name, deletes := range map[string]struct {
		what func(context.Context, *bench) error
		want error
	}{
		"consumer": {func(ctx context.Context, b *bench) error { return b.stream.DeleteConsumer(ctx, durable) }, jetstream.ErrConsumerNotFound},
		"stream":   {func(ctx context.Context, b *bench) error { return b.js.DeleteStream(ctx, streamName) }, jetstream.ErrStreamNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, longWait)
			started, release := make(chan struct{}), make(chan struct{})
			busy := b.start(t, &worker.Worker{Handler: func(context.Context, *worker.Delivery) error {
				close(started)
				<-release
				return nil
			}})
			b.publish(t, "one")
			await(t, started)
			require.NoError(t, deletes.what(t.Context(), b))
			close(release)
			require.ErrorIs(t, busy.result(t), deletes.want)
		})
	}
}

func TestAWorkerEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	idle := b.start(t, &worker.Worker{Handler: done})
	b.awaitPull(t)
	idle.conn.Close()
	require.ErrorIs(t, idle.result(t), nats.ErrConnectionClosed)
}

func TestAPullOutlivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	idle := b.start(t, &worker.Worker{Handler: done})
	b.awaitPull(t)
	b.restart(t)
	b.publish(t, "after the restart")
	b.requireDone(t, 1)
	require.Empty(t, idle.ended)
}

func TestWorkOutlivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	b := newBench(t, 30*time.Second) // the outage is shorter than two thirds of it
	started, release := make(chan int, 10), make(chan struct{})
	b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		started <- delivery.Deliveries
		<-release
		return ctx.Err()
	}})
	b.publish(t, "one")
	require.Equal(t, 1, await(t, started))
	b.restart(t)
	close(release)
	b.requireDone(t, 1)
	b.requireEmpty(t)
	require.Empty(t, started)
}
