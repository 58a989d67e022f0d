package worker_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/worker"
)

// beats returns once the delivery has had so many heartbeats, or its context ended: work that takes that many
// thirds of the ack wait.
func beats(ctx context.Context, delivery *worker.Delivery, count int) error {
	heard := make(chan struct{}, count)
	delivery.OnHeartbeat(func(context.Context) error {
		select {
		case heard <- struct{}{}:
		default:
		}
		return nil
	})
	for range count {
		select {
		case <-heard:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func TestMessagesThatWaitForBusyWorkersAreWorkedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	const messages = 10
	type execution struct {
		body       string
		deliveries int
	}
	executed := testkit.NewSignal[execution]()
	for number := range messages {
		b.publish(t, strconv.Itoa(number))
	}
	for range 2 {
		b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
			executed.Send(execution{string(delivery.Data), delivery.Deliveries})
			return beats(ctx, delivery, 4) // longer than the ack wait
		}})
	}
	got := map[string]int{}
	for range messages {
		one := executed.Wait(t, soon)
		require.Equal(t, 1, one.deliveries)
		got[one.body]++
	}
	b.requireEmpty(t)
	require.Len(t, got, messages)
	executed.RequireNone(t)
}

func TestAMessageIsNotFetchedBeforeASlotIsFree(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	started, release := make(chan struct{}), make(chan struct{})
	b.start(t, &worker.Worker{Slots: 2, Handler: func(context.Context, *worker.Delivery) error {
		started <- struct{}{}
		<-release
		return nil
	}})
	b.publish(t, "one", "two", "three")
	await(t, started)
	await(t, started)
	var info *jetstream.ConsumerInfo
	require.Eventually(t, func() bool { // the server acknowledges a message before the consumer has heard of it
		info = b.consumerInfo(t)
		return info.NumPending == 1
	}, soon, 10*time.Millisecond)
	require.Equal(t, 2, info.NumAckPending)
	require.Zero(t, info.NumWaiting, "a busy worker asks for a message")

	// Another worker has the third at once, on its first delivery.
	third := make(chan *worker.Delivery, 1)
	b.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		third <- delivery
		return nil
	}})
	delivery := await(t, third)
	require.Equal(t, "three", string(delivery.Data))
	require.Equal(t, 1, delivery.Deliveries)
	close(release)
	b.requireEmpty(t)
}
