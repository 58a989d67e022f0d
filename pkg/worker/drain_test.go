package worker_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/worker"
)

// takeOver is a worker that notes what it gets.
func (b *bench) takeOver(t *testing.T) *testkit.Signal[worker.Delivery] {
	t.Helper()
	got := testkit.NewSignal[worker.Delivery]()
	b.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		got.Send(worker.Delivery{Data: delivery.Data, Deliveries: delivery.Deliveries})
		return nil
	}})
	return got
}

func TestAStopLetsTheWorkInHandFinishAndFetchesNothingMore(t *testing.T) {
	t.Parallel()
	for name, slots := range map[string]int{"every slot busy": 1, "a slot free": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, longWait)
			started, release := make(chan *worker.Delivery, 10), make(chan struct{})
			finish := sync.OnceFunc(func() { close(release) })
			defer finish() // also when this test fails: the worker is waited for
			stopping := b.start(t, &worker.Worker{Slots: slots, Handler: func(ctx context.Context, delivery *worker.Delivery) error {
				started <- delivery
				<-release
				return ctx.Err()
			}})
			b.publish(t, "in hand")
			inHand := await(t, started)
			select {
			case <-inHand.Draining():
				require.FailNow(t, "draining before it was asked to stop")
			default:
			}
			stopping.stop()
			await(t, inHand.Draining())
			// Nobody asks for messages any more once the pull that may have waited is gone.
			require.Eventually(t, func() bool { return b.consumerInfo(t).NumWaiting == 0 }, soon, 10*time.Millisecond)

			b.publish(t, "not started")
			next := b.takeOver(t).Wait(t, 5*time.Second)
			require.Equal(t, "not started", string(next.Data))
			handedBack := b.acks.Wait(t, soon)
			if next.Deliveries > 1 { // a last pull, on its way while the server was looked at, may have got it
				require.Equal(t, uint64(2), handedBack.sequence)
				requireNak(t, handedBack)
				handedBack = b.acks.Wait(t, soon)
			}
			require.LessOrEqual(t, next.Deliveries, slots, "without a free slot there is no last pull")
			require.Equal(t, settled{sequence: 2, body: "+ACK", confirmed: true}, handedBack)

			finish()
			b.requireDone(t, 1) // its context had not ended: the handler returned nil
			require.NoError(t, stopping.result(t))
			require.Empty(t, started)
			b.requireEmpty(t)
		})
	}
}

func TestWhatArrivesWhileDrainingIsAnothersAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait) // nobody waits for that
	const messages = 60
	done := testkit.NewSignal[string]()
	note := func(_ context.Context, delivery *worker.Delivery) error {
		done.Send(string(delivery.Data))
		return nil
	}
	stopping := b.start(t, &worker.Worker{Handler: note})
	go func() {
		for number := range messages {
			_, _ = b.js.PublishAsync("work.acme", []byte(strconv.Itoa(number))) // one that is missing is noticed below
		}
	}()
	done.Wait(t, soon)
	stopping.stop() // in the middle of the publishing
	require.NoError(t, stopping.result(t))
	b.start(t, &worker.Worker{Slots: 4, Handler: note})
	for range messages - 1 {
		done.Wait(t, 5*time.Second)
	}
	b.requireEmpty(t)
}

func TestWorkThatOutlastsTheDrainIsCancelledAndHandedBack(t *testing.T) {
	t.Parallel()
	for name, slots := range map[string]int{"every slot busy": 1, "a slot free": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, longWait)
			started, causes := make(chan struct{}, 10), make(chan error, 10)
			stopping := b.start(t, &worker.Worker{Slots: slots, DrainTime: 1500 * time.Millisecond, Handler: func(ctx context.Context, delivery *worker.Delivery) error {
				started <- struct{}{}
				return causeOf(causes)(ctx, delivery)
			}})
			b.publish(t, "one")
			await(t, started)
			stopping.stop()
			require.ErrorIs(t, await(t, causes), worker.ErrStopping)
			require.NoError(t, stopping.result(t))
			require.Equal(t, 100*time.Millisecond, requireNak(t, b.acks.Wait(t, soon)))
			require.Equal(t, 2, b.takeOver(t).Wait(t, 5*time.Second).Deliveries)
		})
	}
}

func TestWorkThatFinishesAlthoughItWasCancelledIsDone(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	started := make(chan struct{})
	stopping := b.start(t, &worker.Worker{DrainTime: 50 * time.Millisecond, Handler: func(ctx context.Context, _ *worker.Delivery) error {
		close(started)
		<-ctx.Done()
		return nil // it had committed
	}})
	b.publish(t, "one")
	await(t, started)
	stopping.stop()
	b.requireDone(t, 1)
	require.NoError(t, stopping.result(t))
	b.requireEmpty(t)
}

func TestAStopWhileTheServerIsAwayIsAStopAllTheSame(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	worked := make(chan struct{}, 1)
	stopping := b.start(t, &worker.Worker{Handler: func(context.Context, *worker.Delivery) error {
		worked <- struct{}{}
		return nil
	}})
	b.publish(t, "one")
	await(t, worked)
	b.requireDone(t, 1)
	b.server.Stop()
	require.Eventually(t, func() bool { return !stopping.conn.IsConnected() }, soon, time.Millisecond)
	asked := time.Now()
	stopping.stop()
	require.NoError(t, stopping.result(t))
	require.Less(t, time.Since(asked), 5*time.Second, "it waited for a server that is not there")
}
