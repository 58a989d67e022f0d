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

// startSuccessor starts a worker that records the messages it gets.
func (f *fixture) startSuccessor(t *testing.T) *testkit.Signal[worker.Delivery] {
	t.Helper()
	got := testkit.NewSignal[worker.Delivery]()
	f.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		got.Send(worker.Delivery{Data: delivery.Data, Deliveries: delivery.Deliveries})
		return nil
	}})
	return got
}

func TestStopLetsRunningWorkFinishAndFetchesNothingMore(t *testing.T) {
	t.Parallel()
	for name, slots := range map[string]int{"every slot busy": 1, "a slot free": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, longWait)
			started, release := make(chan *worker.Delivery, 10), make(chan struct{})
			finish := sync.OnceFunc(func() { close(release) })
			defer finish() // also if this test fails: the cleanup waits for the worker
			stopping := f.start(t, &worker.Worker{Slots: worker.FixedSlots(slots), Handler: func(ctx context.Context, delivery *worker.Delivery) error {
				started <- delivery
				<-release
				return ctx.Err()
			}})
			f.publish(t, "in hand")
			inHand := await(t, started)
			select {
			case <-inHand.Draining():
				require.FailNow(t, "draining before it was asked to stop")
			default:
			}
			stopping.stop()
			await(t, inHand.Draining())
			// After the last pull has ended, the worker requests no more messages.
			require.Eventually(t, func() bool { return f.consumerInfo(t).NumWaiting == 0 }, timeout, 10*time.Millisecond)

			f.publish(t, "not started")
			next := f.startSuccessor(t).Wait(t, 5*time.Second)
			require.Equal(t, "not started", string(next.Data))
			handedBack := f.acks.Wait(t, timeout)
			if next.Deliveries > 1 { // a last pull may have been on its way while the server was checked
				require.Equal(t, uint64(2), handedBack.sequence)
				requireNak(t, handedBack)
				handedBack = f.acks.Wait(t, timeout)
			}
			require.LessOrEqual(t, next.Deliveries, slots, "without a free slot there is no last pull")
			require.Equal(t, settledMessage{sequence: 2, body: "+ACK", confirmed: true}, handedBack)

			finish()
			f.requireDone(t, 1) // the handler returned nil, because its context had not ended
			require.NoError(t, stopping.result(t))
			require.Empty(t, started)
			f.requireEmpty(t)
		})
	}
}

func TestMessageThatArrivesWhileDrainingIsHandedBackAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait) // no test waits for this
	const messages = 60
	done := testkit.NewSignal[string]()
	note := func(_ context.Context, delivery *worker.Delivery) error {
		done.Send(string(delivery.Data))
		return nil
	}
	stopping := f.start(t, &worker.Worker{Handler: note})
	go func() {
		for number := range messages {
			_, _ = f.js.PublishAsync("work.acme", []byte(strconv.Itoa(number))) // the test notices a missing message below
		}
	}()
	done.Wait(t, timeout)
	stopping.stop() // in the middle of the publishing
	require.NoError(t, stopping.result(t))
	f.start(t, &worker.Worker{Slots: worker.FixedSlots(4), Handler: note})
	for range messages - 1 {
		done.Wait(t, 5*time.Second)
	}
	f.requireEmpty(t)
}

func TestWorkLongerThanDrainTimeIsCancelledAndHandedBack(t *testing.T) {
	t.Parallel()
	for name, slots := range map[string]int{"every slot busy": 1, "a slot free": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, longWait)
			started, causes := make(chan struct{}, 10), make(chan error, 10)
			handler := func(ctx context.Context, delivery *worker.Delivery) error {
				started <- struct{}{}
				return reportCause(causes)(ctx, delivery)
			}
			stopping := f.start(t, &worker.Worker{Slots: worker.FixedSlots(slots), DrainTime: 1500 * time.Millisecond, Handler: handler})
			f.publish(t, "one")
			await(t, started)
			stopping.stop()
			require.ErrorIs(t, await(t, causes), worker.ErrStopping)
			require.NoError(t, stopping.result(t))
			require.Equal(t, 100*time.Millisecond, requireNak(t, f.acks.Wait(t, timeout)))
			require.Equal(t, 2, f.startSuccessor(t).Wait(t, 5*time.Second).Deliveries)
		})
	}
}

func TestCancelledWorkThatSucceedsIsAcked(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	started := make(chan struct{})
	stopping := f.start(t, &worker.Worker{DrainTime: 50 * time.Millisecond, Handler: func(ctx context.Context, _ *worker.Delivery) error {
		close(started)
		<-ctx.Done()
		return nil // the work was committed
	}})
	f.publish(t, "one")
	await(t, started)
	stopping.stop()
	f.requireDone(t, 1)
	require.NoError(t, stopping.result(t))
	f.requireEmpty(t)
}

func TestStopDoesNotWaitForServerThatIsDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	worked := make(chan struct{}, 1)
	stopping := f.start(t, &worker.Worker{Handler: func(context.Context, *worker.Delivery) error {
		worked <- struct{}{}
		return nil
	}})
	f.publish(t, "one")
	await(t, worked)
	f.requireDone(t, 1)
	f.server.Stop()
	require.Eventually(t, func() bool { return !stopping.conn.IsConnected() }, timeout, time.Millisecond)
	asked := time.Now()
	stopping.stop()
	require.NoError(t, stopping.result(t))
	require.Less(t, time.Since(asked), 5*time.Second, "the stop waited for a server that is down")
}
