package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// noCode is an answer without an error.
const noCode = ""

// fixture is a NATS server with stand-ins for services, and a command line that asks them.
type fixture struct {
	t       *testing.T
	nats    *testkit.NATSServer
	process Process
	waits   []time.Duration // how long the command line meant to wait, each time
	onWait  func(number int)

	configAnswer func(n int, question []byte) (any, string) // answers config.get, if set
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := testkit.NATS(t)
	f := &fixture{t: t, nats: server, onWait: func(int) {}}
	f.process = Process{
		Environ: []string{"NATS_URL=" + server.URL},
		Stdin:   strings.NewReader(""),
		WaitFunc: func(ctx context.Context, wait time.Duration) error {
			f.waits = append(f.waits, wait)
			f.onWait(len(f.waits))
			return ctx.Err()
		},
		ReadSecretFunc: func(context.Context) (string, error) { return "", io.EOF },
	}
	return f
}

// answers starts a stand-in for a service that answers a verb, and returns a function that stops it. reply returns the answer
// to the nth question, from 1 on; with an error code the answer is its text.
func (f *fixture) answers(noun, verb string, reply func(n int, question []byte) (answer any, code string)) (stop func()) {
	f.t.Helper()
	conn := f.nats.Conn(f.t)
	var mu sync.Mutex
	asked := 0
	standIn, err := micro.AddService(conn, micro.Config{Name: "stand-in", Version: "0.0.1"})
	require.NoError(f.t, err)
	handler := micro.HandlerFunc(func(request micro.Request) {
		mu.Lock()
		asked++
		answer, code := reply(asked, request.Data())
		mu.Unlock()
		if code != noCode {
			text, _ := answer.(string)
			_ = request.Error(code, text, nil) // the command says what it missed
			return
		}
		_ = request.RespondJSON(answer)
	})
	require.NoError(f.t, standIn.AddEndpoint("it", handler, micro.WithEndpointSubject(service.APISubject(noun, verb))))
	require.NoError(f.t, conn.Flush())
	return func() {
		require.NoError(f.t, standIn.Stop())
		require.NoError(f.t, conn.Flush())
	}
}

// rejectsWith starts a stand-in that answers a verb with an error and a body.
func (f *fixture) rejectsWith(noun, verb, code, body string) (stop func()) {
	f.t.Helper()
	conn := f.nats.Conn(f.t)
	subscription, err := conn.Subscribe(service.APISubject(noun, verb), func(question *nats.Msg) {
		answer := nats.NewMsg(question.Reply)
		answer.Header.Set(micro.ErrorCodeHeader, code)
		answer.Header.Set(micro.ErrorHeader, "refused")
		answer.Data = []byte(body)
		_ = question.RespondMsg(answer) // the command says what it missed
	})
	require.NoError(f.t, err)
	require.NoError(f.t, conn.Flush())
	return func() { require.NoError(f.t, subscription.Unsubscribe()) }
}

// onboardingStream creates the stream that requests are published to.
func (f *fixture) onboardingStream() jetstream.Stream {
	f.t.Helper()
	for _, config := range bus.StreamConfigs(1) {
		if config.Name == bus.StreamOnboarding {
			return f.nats.Stream(f.t, config)
		}
	}
	require.Fail(f.t, "there is no onboarding stream")
	return nil
}

func (f *fixture) message(stream jetstream.Stream, sequence uint64) *jetstream.RawStreamMsg {
	f.t.Helper()
	message, err := stream.GetMsg(f.t.Context(), sequence)
	require.NoError(f.t, err)
	return message
}

// result is the exit status and the output of a command.
type result struct {
	code           int
	stdout, stderr string
}

func (f *fixture) run(args ...string) result {
	f.t.Helper()
	return f.runWith(f.t.Context(), args...)
}

func (f *fixture) runWith(ctx context.Context, args ...string) result {
	f.t.Helper()
	var stdout, stderr bytes.Buffer
	process := f.process
	process.Args, process.Stdout, process.Stderr = args, &stdout, &stderr
	code := Run(ctx, process)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// document decodes standard output, which must hold one JSON document and nothing else.
func document[T any](t *testing.T, from result) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(strings.NewReader(from.stdout))
	require.NoError(t, decoder.Decode(&value), "standard output: %s", from.stdout)
	_, err := decoder.Token()
	require.ErrorIs(t, err, io.EOF, "standard output holds more than one document: %s", from.stdout)
	return value
}

// always gives the same answer to every question.
func always(answer any) func(int, []byte) (any, string) {
	return func(int, []byte) (any, string) { return answer, noCode }
}

// unknown answers "not found".
func unknown(int, []byte) (any, string) { return "not found", service.CodeNotFound }

// inTurn returns one answer after another, and then always the last one.
func inTurn[T any](answers ...T) func(int, []byte) (any, string) {
	return func(n int, _ []byte) (any, string) { return answers[min(n, len(answers))-1], noCode }
}

// unknownGlobex is the result for a customer that was not onboarded.
func unknownGlobex() result {
	return result{code: exitFailed, stderr: "rollcall: customer \"globex\" is not known: rollcall customer ls lists those that are\n"}
}

var testTime = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
