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

// childVariable holds a server's URL for this test binary when it is started as a worker of its own.
const childVariable = "WORKER_TEST_NATS"

func TestAWorkerThatLostItsMessageDoesNotTakeItFromTheNext(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	lost, fail := make(chan error, 1), make(chan struct{})
	deaf := b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		delivery.OnHeartbeat(func(context.Context) error { return errors.New("no database") })
		<-ctx.Done()
		lost <- context.Cause(ctx)
		<-fail
		return errors.New("too late")
	}})
	b.publish(t, "one")
	require.ErrorIs(t, await(t, lost), worker.ErrHeartbeatLost)

	second := make(chan int, 10)
	finish := make(chan struct{})
	b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		second <- delivery.Deliveries
		<-finish
		return beats(ctx, delivery, 4) // long enough for a nak's delay to bring it again
	}})
	deaf.stop() // so that only the second worker could get it once more
	require.Equal(t, 2, await(t, second))
	close(fail)
	require.NoError(t, deaf.result(t))
	close(finish)
	b.requireDone(t, 1) // the first thing that anybody said of it
	b.requireEmpty(t)
	require.Empty(t, second)
}

// workAsChild works until its message's context ends, says why, and says nothing to the server.
func workAsChild(url string, out io.Writer) int {
	say := func(words ...any) { _, _ = fmt.Fprintln(out, words...) } // a parent that is gone is told nothing
	conn, err := nats.Connect(url)
	if err != nil {
		say("connect:", err)
		return 1
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		say("jetstream:", err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	consumer, err := js.Consumer(ctx, streamName, durable)
	if err != nil {
		say("consumer:", err)
		return 1
	}
	child := &worker.Worker{Name: durable, Conn: conn, Consumer: consumer, Slots: 1, Logger: zap.NewNop()}
	child.Handler = func(ctx context.Context, _ *worker.Delivery) error {
		say("started")
		<-ctx.Done()
		say(context.Cause(ctx))
		stop()
		return errors.New("ended")
	}
	if err := child.Run(ctx); err != nil {
		say("run:", err)
		return 1
	}
	return 0
}

func TestAProcessThatStoodStillKnowsThatItsMessageIsAnothers(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childVariable+"="+b.server.URL)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Kill() // it may have ended
		_ = child.Wait()
	})
	said := bufio.NewScanner(out)
	b.publish(t, "one")
	require.True(t, said.Scan())
	require.Equal(t, "started", said.Text())
	require.NoError(t, child.Process.Signal(syscall.SIGSTOP))

	second, finish := make(chan int, 10), make(chan struct{})
	b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		second <- delivery.Deliveries
		<-finish
		return beats(ctx, delivery, 4)
	}})
	require.Equal(t, 2, await(t, second))
	require.NoError(t, child.Process.Signal(syscall.SIGCONT))
	require.True(t, said.Scan())
	require.Equal(t, worker.ErrHeartbeatLost.Error(), said.Text())
	require.False(t, said.Scan(), "the child has more to say: %s", said.Text())
	close(finish)
	b.requireDone(t, 1)
	b.requireEmpty(t)
	require.Empty(t, second)
}
