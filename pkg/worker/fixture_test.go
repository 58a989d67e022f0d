package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
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
	// timeout limits each wait of a test. It is generous, for a busy machine.
	timeout = 15 * time.Second
	// shortWait is an ack wait that passes during a test; longWait is one that does not.
	shortWait = 600 * time.Millisecond
	longWait  = time.Minute
)

// settledMessage is an acknowledgement or nak that a worker sent; heartbeats are not included.
type settledMessage struct {
	sequence  uint64
	body      string
	confirmed bool // the worker asked for a confirmation
}

// fixture is a server with one work queue and its durable consumer. It listens to acknowledgements and heartbeats.
type fixture struct {
	server   *testkit.NATSServer
	js       jetstream.JetStream
	stream   jetstream.Stream
	acks     *testkit.Signal[settledMessage]
	listener *nats.Conn

	mu     sync.Mutex
	beats  map[uint64]int // heartbeats by the message\'s sequence
	beaten chan struct{}  // closed and replaced at each heartbeat
}

func newFixture(t *testing.T, ackWait time.Duration) *fixture {
	t.Helper()
	server := testkit.NATS(t)
	stream := server.Stream(t, jetstream.StreamConfig{Name: streamName, Subjects: []string{"work.>"}, Retention: jetstream.WorkQueuePolicy})
	_, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: 1000,
	})
	require.NoError(t, err)
	f := &fixture{server: server, js: server.JetStream(t), stream: stream, acks: testkit.NewSignal[settledMessage]()}
	f.beats, f.beaten = map[uint64]int{}, make(chan struct{})
	f.listen(t)
	return f
}

func (f *fixture) listen(t *testing.T) {
	t.Helper()
	f.listener = f.server.Conn(t)
	_, err := f.listener.Subscribe("$JS.ACK.>", func(msg *nats.Msg) {
		// $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>, from the end:
		tokens := strings.Split(msg.Subject, ".")
		sequence, err := strconv.ParseUint(tokens[len(tokens)-4], 10, 64)
		if err != nil {
			t.Errorf("unreadable ack subject %s", msg.Subject)
		}
		if bytes.HasPrefix(msg.Data, []byte("+WPI")) {
			f.countBeat(sequence)
			return
		}
		f.acks.Send(settledMessage{sequence: sequence, body: string(msg.Data), confirmed: msg.Reply != ""})
	})
	require.NoError(t, err)
	require.NoError(t, f.listener.Flush())
}

func (f *fixture) countBeat(sequence uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beats[sequence]++
	close(f.beaten)
	f.beaten = make(chan struct{})
}

// beatsOf returns how many heartbeats of a message the server has received.
func (f *fixture) beatsOf(sequence uint64) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beats[sequence]
}

// awaitBeats returns after count more heartbeats of the delivery: it is work that takes that many thirds of the ack wait.
func (f *fixture) awaitBeats(ctx context.Context, delivery *worker.Delivery, count int) error {
	enough := f.beatsOf(delivery.Sequence) + count
	for {
		f.mu.Lock()
		got, beaten := f.beats[delivery.Sequence], f.beaten
		f.mu.Unlock()
		if got >= enough {
			return nil
		}
		select {
		case <-beaten:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// restart restarts the server. When it returns, the fixture listens again.
func (f *fixture) restart(t *testing.T) {
	t.Helper()
	f.server.Restart(t)
	require.NoError(t, f.listener.Flush())
}

func (f *fixture) publish(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_, err := f.js.Publish(t.Context(), "work.acme", []byte(body))
		require.NoError(t, err)
	}
}

// consumerInfo returns the consumer's current state.
func (f *fixture) consumerInfo(t *testing.T) *jetstream.ConsumerInfo {
	t.Helper()
	consumer, err := f.stream.Consumer(t.Context(), durable)
	require.NoError(t, err)
	return consumer.CachedInfo()
}

// requireEmpty waits until the server has removed all messages.
func (f *fixture) requireEmpty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		info, err := f.stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, timeout, 10*time.Millisecond)
}

// runningWorker is a worker that runs.
type runningWorker struct {
	stop  context.CancelFunc
	ended chan error // gets Run's result
	conn  *nats.Conn
}

// start runs w on its own connection. It fills in the fields that w leaves out.
func (f *fixture) start(t *testing.T, w *worker.Worker) *runningWorker {
	t.Helper()
	w.Name = durable
	conn := f.server.Conn(t)
	if w.Conn == nil {
		w.Conn = conn
	}
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	w.Consumer, err = js.Consumer(t.Context(), streamName, durable)
	require.NoError(t, err)
	if w.Slots == nil {
		w.Slots = worker.FixedSlots(1)
	}
	if w.Logger == nil {
		w.Logger = zap.NewNop()
	}
	if w.DrainTime == 0 {
		w.DrainTime = 5 * time.Second
	}
	ctx, stop := context.WithCancel(context.Background())
	running := &runningWorker{stop: stop, ended: make(chan error, 1), conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		running.ended <- w.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-done:
		case <-time.After(timeout):
			t.Error("the worker has not ended: a handler is stuck")
		}
	})
	return running
}

// result returns the error of Run.
func (w *runningWorker) result(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(timeout):
		require.FailNow(t, "Run has not returned")
		return nil
	}
}

// requireNak requires a nak with a delay and returns the delay.
func requireNak(t *testing.T, ack settledMessage) time.Duration {
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

// requireDone requires that the next settled message is the given one, acknowledged with a confirmation.
func (f *fixture) requireDone(t *testing.T, sequence uint64) {
	t.Helper()
	f.acks.Require(t, timeout, settledMessage{sequence: sequence, body: "+ACK", confirmed: true})
}

// await receives from a channel within the timeout.
func await[T any](t *testing.T, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(timeout):
		require.FailNow(t, "no value was received in time")
	}
	return value
}

// letters records the messages that would have become dead letters.
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
