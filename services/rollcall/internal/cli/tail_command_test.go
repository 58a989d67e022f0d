package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// watched is a command that runs until the test stops it.
type watched struct {
	t      *testing.T
	lines  *bufio.Scanner
	stop   context.CancelFunc
	ended  chan int
	stderr bytes.Buffer
}

func (f *fixture) watch(args ...string) *watched {
	f.t.Helper()
	ctx, stop := context.WithCancel(f.t.Context())
	reading, writing := io.Pipe()
	w := &watched{t: f.t, lines: bufio.NewScanner(reading), stop: stop, ended: make(chan int, 1)}
	process := f.process
	process.Args, process.Stdout, process.Stderr = args, writing, &w.stderr
	go func() {
		code := Run(ctx, process)
		if err := writing.Close(); err != nil {
			f.t.Error(err)
		}
		w.ended <- code
	}()
	f.t.Cleanup(stop)
	return w
}

func (w *watched) line() string {
	w.t.Helper()
	require.True(w.t, w.lines.Scan(), "it ended")
	return w.lines.Text()
}

// ends stops the command as ctrl-c does.
func (w *watched) ends() {
	w.t.Helper()
	w.stop()
	require.Zero(w.t, <-w.ended, w.stderr.String())
	require.False(w.t, w.lines.Scan(), "another line")
	require.Empty(w.t, w.stderr.String())
}

func (f *fixture) publish(message store.Message, err error) {
	f.t.Helper()
	require.NoError(f.t, err)
	sent := nats.NewMsg(message.Subject)
	sent.Data = message.Payload
	_, err = f.nats.JetStream(f.t).PublishMsg(f.t.Context(), sent, jetstream.WithMsgID(message.ID))
	require.NoError(f.t, err)
}

func backfillCompleted(customer string, users int32) (store.Message, error) {
	return event.Fact{
		Name: event.BackfillCompleted, Customer: customer, ID: "run-7-" + customer, At: testTime,
		Data: &rollcallv1.BackfillCompleted{CustomerId: customer, RunId: 7, ProcessedCount: users, CompletedAt: timestamppb.New(testTime)},
	}.Message()
}

func TestTailPrintsWhatWasPublishedAndThenWhatIsPublished(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.stream(bus.StreamEvents)
	durable, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "partner", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	f.publish(backfillCompleted("globex", 2))
	f.publish(backfillCompleted("acme", 1000))

	tail := f.watch("tail", "events", "--customer", "acme", "--since", "1h", "--json")
	var first tailLine
	require.NoError(t, json.Unmarshal([]byte(tail.line()), &first))
	require.WithinDuration(t, time.Now(), first.At, time.Hour)
	require.JSONEq(t, `{"customerId":"acme","runId":"7","processedCount":1000,"completedAt":"2026-11-20T08:00:00Z"}`, string(first.Data))
	first.At, first.Data = time.Time{}, nil
	require.Equal(t, tailLine{
		Sequence: 2, Subject: "rollcall.events.backfill.completed.acme", Name: "backfill.completed", CustomerID: "acme", ID: "run-7-acme",
	}, first)
	_, err = f.nats.JetStream(t).Publish(t.Context(), "rollcall.events.user.odd.acme", []byte("no \x1b[2J JSON"))
	require.NoError(t, err)
	require.Regexp(t, `^\{"sequence":3,.*"name":"user.odd","customerId":"acme","id":"","data":null\}$`, tail.line())
	tail.ends()

	info, err := durable.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, info.NumPending, "what the tail showed still waits for the others")
	require.Zero(t, info.NumAckPending)
}

func TestTailWithoutSinceBeginsNow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stream(bus.StreamAlerts)
	alert := func(customer string, cleared bool, id string) {
		raised := event.Alert{Customer: customer, Type: event.AlertAuthFailed, Severity: "high", Text: "Rejected.", Remedy: "A new\n token."}
		f.publish(raised.Message(id, cleared, testTime))
	}
	alert("acme", false, "1")
	made, err := f.nats.Conn(t).SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.CREATED." + bus.StreamAlerts + ".>")
	require.NoError(t, err)
	tail := f.watch("tail", "alerts")
	_, err = made.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	alert("globex", false, "2")
	alert("globex", true, "2")
	require.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  globex  auth_failed  high raised  Rejected.  A new  token.$`, tail.line())
	require.Regexp(t, `  globex  auth_failed  high cleared  Rejected.  A new  token.$`, tail.line())
	tail.ends()
}

func TestTailSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, result{
		code: exitFailed, stderr: "rollcall: watch events: the stream ROLLCALL_EVENTS is missing: `rollcall migrate` makes it\n",
	}, f.run("tail", "events"))
	for _, args := range [][]string{{"tail"}, {"tail", "events", "--since", "soon"}, {"tail", "events", "--customer", "a.b"}, {"tail", "letters"}} {
		require.Equal(t, exitUsage, f.run(args...).code, args)
	}
}
