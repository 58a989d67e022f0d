package dev

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/testkit"
)

// roleVariable makes the test program act as a child, or as a `rollcall dev` that has one.
const roleVariable = "DEV_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role, os.Stdout))
	}
	testkit.Main(m)
}

func play(role string, out io.Writer) int {
	switch role {
	case "worker": // a service: it can work at once, and notes when it was asked to stop
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		_, _ = fmt.Fprintln(out, "runs as", os.Getpid())
		serveHealth(out)
		<-asked
		return note(out, os.Getenv("DEV_TEST_NOTES"), os.Getenv("DEV_TEST_NAME")+" stopped")
	case "stubborn": // a service that does not end
		signal.Ignore(syscall.SIGTERM)
		serveHealth(out)
		select {}
	case "broken": // a service that cannot start
		_, _ = fmt.Fprintln(out, "the settings are no good")
		return 3
	case "parent": // a `rollcall dev` that is about to be killed
		return playParent(out)
	}
	return 1
}

func playParent(out io.Writer) int {
	heirs, err := takeLock(os.Getenv("DEV_TEST_LOCK"))
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 1
	}
	shown := newScreen(out, out, false)
	log, err := openLogFile(os.Getenv("DEV_TEST_LOG"), logKeptUpTo, shown.linesOf("worker", 0))
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 1
	}
	keepRunning(program{
		name: "worker", path: os.Args[0], env: append(os.Environ(), roleVariable+"=worker"), log: log, held: heirs.file,
		address: freeAddress, say: shown.sayf,
	}, nil)
	select {}
}

func serveHealth(out io.Writer) {
	go func() {
		server := &http.Server{Addr: os.Getenv("HTTP_ADDR"), ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
		_, _ = fmt.Fprintln(out, "health server ended:", server.ListenAndServe())
	}()
}

func note(out io.Writer, path, text string) int {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 1
	}
	if _, err := fmt.Fprintln(file, text); err != nil || file.Close() != nil {
		return 1
	}
	return 0
}

func freeAddress() (string, error) {
	port, err := localserver.FreePort()
	return "127.0.0.1:" + strconv.Itoa(port), err
}

const patience = 30 * time.Second

// childrenFixture is a supervisor whose children are this test program in a role.
type childrenFixture struct {
	t     *testing.T
	dir   string
	hurry chan struct{}
	said  *testkit.Signal[string]
	*supervisor
}

func newChildrenFixture(t *testing.T) *childrenFixture {
	t.Helper()
	hurry := make(chan struct{})
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return &childrenFixture{
		t: t, dir: t.TempDir(), hurry: hurry, said: testkit.NewSignal[string](),
		supervisor: &supervisor{client: client, hurry: hurry},
	}
}

// program returns a program in a role, with pauses that a test can wait for.
func (f *childrenFixture) member(name, role string) program {
	f.t.Helper()
	shown := newScreen(&testScreen{}, &testScreen{}, false)
	log, err := openLogFile(filepath.Join(f.dir, name+".log"), logKeptUpTo, shown.linesOf(name, 0))
	require.NoError(f.t, err)
	f.logs = append(f.logs, log)
	return program{
		name: name, path: testProgram(f.t), log: log, address: freeAddress, first: time.Millisecond, longest: 20 * time.Millisecond,
		env: append(os.Environ(), roleVariable+"="+role, "DEV_TEST_NAME="+name, "DEV_TEST_NOTES="+f.notesFile()),
		say: func(format string, values ...any) { f.said.Send(fmt.Sprintf(format, values...)) },
	}
}

func (f *childrenFixture) notesFile() string { return filepath.Join(f.dir, "notes") }

// notes returns the notes of the children, in order.
func (f *childrenFixture) notes() []string {
	f.t.Helper()
	text, err := os.ReadFile(f.notesFile())
	require.NoError(f.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// pid returns the last process id that a worker wrote.
func (f *childrenFixture) pid(name string) int {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, name+".log"))
	require.NoError(f.t, err)
	said := regexp.MustCompile(`runs as (\d+)`).FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(f.t, said)
	pid, err := strconv.Atoi(said[len(said)-1][1])
	require.NoError(f.t, err)
	return pid
}

func testProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return self
}

// testScreen is a screen that a test can read while others write.
type testScreen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *testScreen) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *testScreen) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}
