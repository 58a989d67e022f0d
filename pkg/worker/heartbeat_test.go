package worker_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/worker"
)

// reportCause waits for the end of the handler's context and sends the cause to the test.
func reportCause(causes chan<- error) worker.Handler {
	return func(ctx context.Context, _ *worker.Delivery) error {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return ctx.Err()
	}
}

func TestHeartbeatsPreventRedeliveryDuringLongWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWait)
	var executions atomic.Int32
	handler := func(ctx context.Context, delivery *worker.Delivery) error {
		executions.Add(1)
		return f.awaitBeats(ctx, delivery, 11) // more than three ack waits
	}
	f.start(t, &worker.Worker{Handler: handler})
	f.start(t, &worker.Worker{Handler: handler}) // ready to take it over
	f.publish(t, "one")
	f.requireDone(t, 1)
	f.requireEmpty(t)
	require.Equal(t, int32(1), executions.Load())
}

func TestLostServerCancelsWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWait)
	started, causes := make(chan struct{}), make(chan error, 1)
	f.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		close(started)
		return reportCause(causes)(ctx, delivery)
	}})
	f.publish(t, "one")
	await(t, started)
	f.server.Stop()
	require.ErrorIs(t, await(t, causes), worker.ErrHeartbeatLost)
}

func TestWorkIsCancelledAtCeiling(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWait)
	causes := make(chan error, 10)
	f.start(t, &worker.Worker{Ceiling: shortWait / 2, Handler: reportCause(causes)})
	f.publish(t, "one")
	require.ErrorIs(t, await(t, causes), worker.ErrTooLong)
	requireNak(t, f.acks.Wait(t, timeout))
}

func TestHeartbeatsEndWithHandler(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWait)
	f.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		if delivery.Sequence > 1 {
			return f.awaitBeats(ctx, delivery, 3)
		}
		return f.awaitBeats(ctx, delivery, 1)
	}})
	f.publish(t, "one", "two")
	f.requireDone(t, 1)
	before := f.beatsOf(1)
	f.requireDone(t, 2)
	require.LessOrEqual(t, f.beatsOf(1), before+1, "one beat may have been under way")
}
