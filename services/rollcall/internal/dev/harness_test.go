package dev

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

const patience = 30 * time.Second

// family is a supervisor with children that are this test program in some role.
type family struct {
	t     *testing.T
	dir   string
	hurry chan struct{}
	told  *testkit.Signal[string]
	*supervisor
}

func newFamily(t *testing.T) *family {
	t.Helper()
	hurry := make(chan struct{})
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return &family{
		t: t, dir: t.TempDir(), hurry: hurry, told: testkit.NewSignal[string](),
		supervisor: &supervisor{client: client, hurry: hurry},
	}
}

// member is a program in a role, with pauses that a test can wait for.
func (f *family) member(name, role string) program {
	f.t.Helper()
	shown := newScreen(&paper{}, &paper{}, false)
	log, err := openLogFile(filepath.Join(f.dir, name+".log"), logKeptUpTo, shown.linesOf(name, 0))
	require.NoError(f.t, err)
	f.logs = append(f.logs, log)
	return program{
		name: name, path: testProgram(f.t), log: log, address: freeAddress, first: time.Millisecond, longest: 20 * time.Millisecond,
		env:  append(os.Environ(), roleVariable+"="+role, "DEV_TEST_NAME="+name, "DEV_TEST_NOTES="+f.notesFile()),
		tell: func(format string, values ...any) { f.told.Send(fmt.Sprintf(format, values...)) },
	}
}

func (f *family) notesFile() string { return filepath.Join(f.dir, "notes") }

// notes are what the children noted, in its order.
func (f *family) notes() []string {
	f.t.Helper()
	text, err := os.ReadFile(f.notesFile())
	require.NoError(f.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// pid is the process id that a worker said last.
func (f *family) pid(name string) int {
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

// paper is a screen that a test can read while others write.
type paper struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *paper) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}
