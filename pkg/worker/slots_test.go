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

func TestMessagesWaitingForBusyWorkersAreHandledOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWait)
	const messages = 10
	type execution struct {
		body       string
		deliveries int
	}
	executed := testkit.NewSignal[execution]()
	for number := range messages {
		f.publish(t, strconv.Itoa(number))
	}
	for range 2 {
		f.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
			executed.Send(execution{string(delivery.Data), delivery.Deliveries})
			return f.awaitBeats(ctx, delivery, 4) // longer than the ack wait
		}})
	}
	got := map[string]int{}
	for range messages {
		one := executed.Wait(t, timeout)
		require.Equal(t, 1, one.deliveries)
		got[one.body]++
	}
	f.requireEmpty(t)
	require.Len(t, got, messages)
	executed.RequireNone(t)
}

func TestABacklogIsTakenOnlyAsFarAsSlotsAreFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	const slots, messages = 4, 30
	started, release := make(chan int, messages), make(chan struct{})
	for number := range messages {
		f.publish(t, strconv.Itoa(number))
	}
	f.start(t, &worker.Worker{Slots: worker.FixedSlots(slots), Handler: func(_ context.Context, delivery *worker.Delivery) error {
		started <- delivery.Deliveries
		<-release
		return nil
	}})
	for range slots {
		require.Equal(t, 1, await(t, started))
	}
	require.Equal(t, slots, f.consumerInfo(t).NumAckPending)
	for done := slots; done < messages; done++ {
		release <- struct{}{}
		require.Equal(t, 1, await(t, started), "each message is delivered once")
		require.LessOrEqual(t, f.consumerInfo(t).NumAckPending, slots+1, "one may be settled that the server has not noted yet")
	}
	close(release)
	f.requireEmpty(t)
	require.Empty(t, started)
}

func TestMessageIsNotFetchedBeforeSlotIsFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	started, release := make(chan struct{}), make(chan struct{})
	f.start(t, &worker.Worker{Slots: worker.FixedSlots(2), Handler: func(context.Context, *worker.Delivery) error {
		started <- struct{}{}
		<-release
		return nil
	}})
	f.publish(t, "one", "two", "three")
	await(t, started)
	await(t, started)
	var info *jetstream.ConsumerInfo
	require.Eventually(t, func() bool { // the server confirms a publish before the consumer has the message
		info = f.consumerInfo(t)
		return info.NumPending == 1
	}, timeout, 10*time.Millisecond)
	require.Equal(t, 2, info.NumAckPending)
	require.Zero(t, info.NumWaiting, "a busy worker requested a message")

	// Another worker gets the third message at once, on its first delivery.
	third := make(chan *worker.Delivery, 1)
	f.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		third <- delivery
		return nil
	}})
	delivery := await(t, third)
	require.Equal(t, "three", string(delivery.Data))
	require.Equal(t, 1, delivery.Deliveries)
	close(release)
	f.requireEmpty(t)
}

func TestHandlersThatWaitLeaveTheirSlotsToOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	const least, most, messages = 2, 8, 10
	started, release := make(chan int, messages), make(chan struct{})
	for number := range messages {
		f.publish(t, strconv.Itoa(number))
	}
	slots := worker.NewSlots(least, most)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go slots.Adapt(ctx)
	f.start(t, &worker.Worker{Slots: slots, Handler: func(_ context.Context, delivery *worker.Delivery) error {
		started <- delivery.Deliveries
		<-release
		return nil
	}})
	for range most {
		require.Equal(t, 1, await(t, started))
	}
	require.Equal(t, most, slots.Number())
	require.Equal(t, most, f.consumerInfo(t).NumAckPending)
	close(release)
	f.requireEmpty(t)
}
