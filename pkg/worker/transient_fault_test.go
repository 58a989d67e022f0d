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

func succeed(context.Context, *worker.Delivery) error { return nil }

// awaitPull waits until the server holds a request for a message.
func (f *fixture) awaitPull(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return f.consumerInfo(t).NumWaiting > 0 }, timeout, 10*time.Millisecond)
}

func TestIdleWorkerEndsIfConsumerIsDeleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	idle := f.start(t, &worker.Worker{Handler: succeed})
	f.awaitPull(t)
	require.NoError(t, f.stream.DeleteConsumer(t.Context(), durable))
	require.ErrorIs(t, idle.result(t), jetstream.ErrConsumerDeleted)
}

func TestBusyWorkerEndsIfConsumerOrStreamIsDeleted(t *testing.T) {
	t.Parallel()
	for name, deletes := range map[string]struct {
		what func(context.Context, *fixture) error
		want error
	}{
		"consumer": {func(ctx context.Context, f *fixture) error { return f.stream.DeleteConsumer(ctx, durable) }, jetstream.ErrConsumerNotFound},
		"stream":   {func(ctx context.Context, f *fixture) error { return f.js.DeleteStream(ctx, streamName) }, jetstream.ErrStreamNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, longWait)
			started, release := make(chan struct{}), make(chan struct{})
			busy := f.start(t, &worker.Worker{Handler: func(context.Context, *worker.Delivery) error {
				close(started)
				<-release
				return nil
			}})
			f.publish(t, "one")
			await(t, started)
			require.NoError(t, deletes.what(t.Context(), f))
			close(release)
			require.ErrorIs(t, busy.result(t), deletes.want)
		})
	}
}

func TestWorkerEndsIfConnectionIsClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	idle := f.start(t, &worker.Worker{Handler: succeed})
	f.awaitPull(t)
	idle.conn.Close()
	require.ErrorIs(t, idle.result(t), nats.ErrConnectionClosed)
}

func TestPullSurvivesServerRestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	idle := f.start(t, &worker.Worker{Handler: succeed})
	f.awaitPull(t)
	f.restart(t)
	f.publish(t, "after the restart")
	f.requireDone(t, 1)
	require.Empty(t, idle.ended)
}

func TestWorkSurvivesServerRestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 30*time.Second) // the outage is shorter than two thirds of it
	started, release := make(chan int, 10), make(chan struct{})
	f.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		started <- delivery.Deliveries
		<-release
		return ctx.Err()
	}})
	f.publish(t, "one")
	require.Equal(t, 1, await(t, started))
	f.restart(t)
	close(release)
	f.requireDone(t, 1)
	f.requireEmpty(t)
	require.Empty(t, started)
}
