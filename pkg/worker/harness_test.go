package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/worker"
)

const (
	streamName = "WORK"
	durable    = "worker"
	// soon is a limit for what must happen at once: generous, for a busy machine.
	soon = 15 * time.Second
	// shortWait is an ack wait that a test can see pass; longWait is one that no test sees pass.
	shortWait = 600 * time.Millisecond
	longWait  = time.Minute
)

// settled is what a worker told the server about a message, progress apart.
type settled struct {
	sequence  uint64
	body      string
	confirmed bool // an answer was asked for
}

// bench is a server with one work queue, its durable consumer, and an ear on what is settled.
type bench struct {
	server *testkit.NATSServer
	js     jetstream.JetStream
	stream jetstream.Stream
	acks   *testkit.Signal[settled]
	ear    *nats.Conn
}

func newBench(t *testing.T, ackWait time.Duration) *bench {
	t.Helper()
	server := testkit.NATS(t)
	stream := server.Stream(t, jetstream.StreamConfig{Name: streamName, Subjects: []string{"work.>"}, Retention: jetstream.WorkQueuePolicy})
	_, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: 1000,
	})
	require.NoError(t, err)
	b := &bench{server: server, js: server.JetStream(t), stream: stream, acks: testkit.NewSignal[settled]()}
	b.listen(t)
	return b
}

func (b *bench) listen(t *testing.T) {
	t.Helper()
	b.ear = b.server.Conn(t)
	_, err := b.ear.Subscribe("$JS.ACK.>", func(msg *nats.Msg) {
		if bytes.HasPrefix(msg.Data, []byte("+WPI")) {
			return
		}
		// $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>, from the end:
		tokens := strings.Split(msg.Subject, ".")
		sequence, err := strconv.ParseUint(tokens[len(tokens)-4], 10, 64)
		if err != nil {
			t.Errorf("unreadable ack subject %s", msg.Subject)
		}
		b.acks.Send(settled{sequence: sequence, body: string(msg.Data), confirmed: msg.Reply != ""})
	})
	require.NoError(t, err)
	require.NoError(t, b.ear.Flush())
}

// restart restarts the server; the ear hears again when it returns.
func (b *bench) restart(t *testing.T) {
	t.Helper()
	b.server.Restart(t)
	require.NoError(t, b.ear.Flush())
}

func (b *bench) publish(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_, err := b.js.Publish(t.Context(), "work.acme", []byte(body))
		require.NoError(t, err)
	}
}

// consumerInfo is what the server says of the consumer now.
func (b *bench) consumerInfo(t *testing.T) *jetstream.ConsumerInfo {
	t.Helper()
	consumer, err := b.stream.Consumer(t.Context(), durable)
	require.NoError(t, err)
	return consumer.CachedInfo()
}

// requireEmpty waits until the server has taken in what was settled, and nothing is left.
func (b *bench) requireEmpty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		info, err := b.stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, soon, 10*time.Millisecond)
}

// work is a worker that runs.
type work struct {
	stop  context.CancelFunc
	ended chan error // gets Run's result
	conn  *nats.Conn
}

// start runs w on a connection of its own; what it leaves out is filled in.
func (b *bench) start(t *testing.T, w *worker.Worker) *work {
	t.Helper()
	w.Name = durable
	w.Conn = b.server.Conn(t)
	js, err := jetstream.New(w.Conn)
	require.NoError(t, err)
	w.Consumer, err = js.Consumer(t.Context(), streamName, durable)
	require.NoError(t, err)
	w.Slots = max(w.Slots, 1)
	if w.Logger == nil {
		w.Logger = zap.NewNop()
	}
	if w.DrainTime == 0 {
		w.DrainTime = 5 * time.Second
	}
	ctx, stop := context.WithCancel(context.Background())
	running := &work{stop: stop, ended: make(chan error, 1), conn: w.Conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		running.ended <- w.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-done:
		case <-time.After(soon):
			t.Error("the worker has not ended: a handler is stuck")
		}
	})
	return running
}

// result is what Run returned.
func (w *work) result(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(soon):
		require.FailNow(t, "Run has not returned")
		return nil
	}
}

// requireNak is the delay of a nak, which must have one.
func requireNak(t *testing.T, ack settled) time.Duration {
	t.Helper()
	options, isNak := strings.CutPrefix(ack.body, "-NAK ")
	require.True(t, isNak, "not a nak with a delay: %q", ack.body)
	var parsed struct {
		Delay time.Duration `json:"delay"`
	}
	require.NoError(t, json.Unmarshal([]byte(options), &parsed), options)
	require.Positive(t, parsed.Delay)
	return parsed.Delay
}

// requireDone fails unless the next thing settled is the given message's ack, which the worker had confirmed.
func (b *bench) requireDone(t *testing.T, sequence uint64) {
	t.Helper()
	b.acks.Require(t, soon, settled{sequence: sequence, body: "+ACK", confirmed: true})
}

// await receives from a channel that must not be silent for long.
func await[T any](t *testing.T, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(soon):
		require.FailNow(t, "nothing came")
	}
	return value
}

// letters notes what would have become dead letters.
type letters struct {
	opened *testkit.Signal[letter]
	fail   func(attempt int) error
	count  int
}

type letter struct {
	body       string
	stream     string
	sequence   uint64
	deliveries int
	reason     error
}

func newLetters() *letters { return &letters{opened: testkit.NewSignal[letter]()} }

// OpenMessage is called by one slot at a time in these tests.
func (l *letters) OpenMessage(_ context.Context, delivery *worker.Delivery, reason error) error {
	l.count++
	l.opened.Send(letter{string(delivery.Data), delivery.Stream, delivery.Sequence, delivery.Deliveries, reason})
	if l.fail != nil {
		return l.fail(l.count)
	}
	return nil
}
