package worker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/worker"
)

// childEnv holds a server's URL if this test binary runs as a worker in its own process.
const childEnv = "WORKER_TEST_NATS"

func TestWorkerThatLostHeartbeatDoesNotSettleMessageOfAnotherWorker(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWait)
	lost, fail := make(chan error, 1), make(chan struct{})
	closed := f.server.Conn(t)
	closed.Close() // heartbeats fail; a nak would still reach the server
	losing := f.start(t, &worker.Worker{Conn: closed, Handler: func(ctx context.Context, _ *worker.Delivery) error {
		<-ctx.Done()
		lost <- context.Cause(ctx)
		<-fail
		return errors.New("too late")
	}})
	f.publish(t, "one")
	require.ErrorIs(t, await(t, lost), worker.ErrHeartbeatLost)

	second := make(chan int, 10)
	finish := make(chan struct{})
	f.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		second <- delivery.Deliveries
		<-finish
		return f.awaitBeats(ctx, delivery, 4) // long enough to see a redelivery after a nak
	}})
	losing.stop() // only the second worker can get a redelivery
	require.Equal(t, 2, await(t, second))
	close(fail)
	require.NoError(t, losing.result(t))
	close(finish)
	f.requireDone(t, 1) // no other worker settled it before
	f.requireEmpty(t)
	require.Empty(t, second)
}

// runChild handles one message until its context ends, and prints the cause. It does not settle the message.
func runChild(url string, out io.Writer) int {
	report := func(words ...any) { _, _ = fmt.Fprintln(out, words...) } // the parent may have ended
	conn, err := nats.Connect(url)
	if err != nil {
		report("connect:", err)
		return 1
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		report("jetstream:", err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	consumer, err := js.Consumer(ctx, streamName, durable)
	if err != nil {
		report("consumer:", err)
		return 1
	}
	child := &worker.Worker{Name: durable, Conn: conn, Consumer: consumer, Slots: worker.FixedSlots(1), Logger: zap.NewNop()}
	child.Handler = func(ctx context.Context, _ *worker.Delivery) error {
		report("started")
		<-ctx.Done()
		report(context.Cause(ctx))
		stop()
		return errors.New("ended")
	}
	if err := child.Run(ctx); err != nil {
		report("run:", err)
		return 1
	}
	return 0
}

func TestSuspendedProcessFindsThatHeartbeatWasLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWait)
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childEnv+"="+f.server.URL)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Kill() // it may have ended
		_ = child.Wait()
	})
	output := bufio.NewScanner(out)
	f.publish(t, "one")
	require.True(t, output.Scan())
	require.Equal(t, "started", output.Text())
	require.NoError(t, child.Process.Signal(syscall.SIGSTOP))

	second, finish := make(chan int, 10), make(chan struct{})
	f.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		second <- delivery.Deliveries
		<-finish
		return f.awaitBeats(ctx, delivery, 4)
	}})
	require.Equal(t, 2, await(t, second))
	require.NoError(t, child.Process.Signal(syscall.SIGCONT))
	require.True(t, output.Scan())
	require.Equal(t, worker.ErrHeartbeatLost.Error(), output.Text())
	require.False(t, output.Scan(), "unexpected output of the child: %s", output.Text())
	close(finish)
	f.requireDone(t, 1)
	f.requireEmpty(t)
	require.Empty(t, second)
}
