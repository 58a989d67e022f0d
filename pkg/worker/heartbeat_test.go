package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/worker"
)

// causeOf waits for the end of a handler's context and hands its cause to the test.
func causeOf(causes chan<- error) worker.Handler {
	return func(ctx context.Context, _ *worker.Delivery) error {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return ctx.Err()
	}
}

func TestHeartbeatsKeepALongWorkedMessageFromOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	var executions atomic.Int32
	handler := func(ctx context.Context, delivery *worker.Delivery) error {
		executions.Add(1)
		return beats(ctx, delivery, 11) // more than three ack waits
	}
	b.start(t, &worker.Worker{Handler: handler})
	b.start(t, &worker.Worker{Handler: handler}) // stands ready to take it over
	b.publish(t, "one")
	b.requireDone(t, 1)
	b.requireEmpty(t)
	require.Equal(t, int32(1), executions.Load())
}

func TestALostServerCancelsTheWork(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	started, causes := make(chan struct{}), make(chan error, 1)
	b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		close(started)
		return causeOf(causes)(ctx, delivery)
	}})
	b.publish(t, "one")
	await(t, started)
	b.server.Stop()
	require.ErrorIs(t, await(t, causes), worker.ErrHeartbeatLost)
}

func TestBeatsOfTheDeliveryThatFailForLongCancelTheWork(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	causes := make(chan error, 10)
	b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		delivery.OnHeartbeat(func(context.Context) error { return errors.New("no database") })
		return causeOf(causes)(ctx, delivery)
	}})
	b.publish(t, "one")
	require.ErrorIs(t, await(t, causes), worker.ErrHeartbeatLost)
}

func TestOneMissedBeatIsNotTheEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	var tried atomic.Int32
	b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		delivery.OnHeartbeat(func(context.Context) error {
			if tried.Add(1) == 2 {
				return errors.New("one hiccup")
			}
			return nil
		})
		return beats(ctx, delivery, 6)
	}})
	b.publish(t, "one")
	b.requireDone(t, 1)
	require.GreaterOrEqual(t, tried.Load(), int32(6))
}

func TestABeatThatEndsTheRightToWorkCancelsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	errLost := errors.New("lane lost")
	var tried atomic.Int32
	causes := make(chan error, 10)
	b.start(t, &worker.Worker{EndsWork: errLost, Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		delivery.OnHeartbeat(func(context.Context) error {
			tried.Add(1)
			return errors.Join(errors.New("renew"), errLost)
		})
		_ = causeOf(causes)(ctx, delivery)
		return worker.Retry(time.Minute, errLost)
	}})
	b.publish(t, "one")
	cause := await(t, causes)
	require.ErrorIs(t, cause, errLost)
	require.NotErrorIs(t, cause, worker.ErrHeartbeatLost)
	require.Equal(t, int32(1), tried.Load(), "it took more than one beat")
	require.Equal(t, time.Minute, requireNak(t, b.acks.Wait(t, soon)))
}

func TestWorkHasACeiling(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	causes := make(chan error, 10)
	b.start(t, &worker.Worker{Ceiling: shortWait / 2, Handler: causeOf(causes)})
	b.publish(t, "one")
	require.ErrorIs(t, await(t, causes), worker.ErrTooLong)
	requireNak(t, b.acks.Wait(t, soon))
}

func TestBeatsStopWithTheWork(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	var after atomic.Bool
	late := make(chan struct{}, 10)
	b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		if delivery.Sequence > 1 {
			return beats(ctx, delivery, 3)
		}
		delivery.OnHeartbeat(func(context.Context) error {
			if after.Load() {
				late <- struct{}{}
			}
			return nil
		})
		err := beats(ctx, delivery, 1)
		after.Store(true)
		return err
	}})
	b.publish(t, "one", "two")
	b.requireDone(t, 1)
	b.requireDone(t, 2)
	require.LessOrEqual(t, len(late), 1, "beats of a settled message") // one may have been under way
}
