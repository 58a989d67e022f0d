package testkit

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
)

const (
	// drainWithin is how long a service may take to end after a SIGTERM.
	drainWithin = 25 * time.Second
	// shownOutput is how much of a program's output a failed test prints.
	shownOutput = 64 << 10
)

// ProgramConfig says how to start a program.
type ProgramConfig struct {
	Args []string
	// Env is the program's environment. The program also gets the few variables that any program needs, and no other
	// variable of this process: a developer's own NATS_URL must not reach a test.
	Env map[string]string
	// Name is for the test's log; "" means the package's last element.
	Name string
	// Dir is the program's working directory; "" means a new, empty one.
	Dir string
	// Binary is a program that exists already, such as one of a previous version; "" means that importPath is built.
	Binary string
}

// Process is one of rollcall's programs, running as a child process for one test.
type Process struct {
	t      testing.TB
	name   string
	output string
	child  *localserver.Child
	ended  atomic.Bool // by the test, deliberately
}

// Program builds the main package importPath once per test process (with -race if the test has it) and starts it.
// When the test ends, the program is stopped as by Stop. A failed test prints its output. A data race in the program
// fails the test, unless the program was killed.
func Program(t testing.TB, importPath string, cfg ProgramConfig) *Process {
	t.Helper()
	program := cfg.Binary
	if program == "" {
		program = Build(t, importPath)
	}
	if cfg.Name == "" {
		cfg.Name = path.Base(importPath)
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	out, err := os.Create(filepath.Join(t.TempDir(), cfg.Name+".log"))
	require.NoError(t, err)
	defer func() { _ = out.Close() }()        // the child has its own handle
	cmd := exec.Command(program, cfg.Args...) //nolint:gosec,noctx // the tests' own; it ends by signals, see Stop
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = cfg.Dir, environment(cfg.Env), out, out
	child, err := localserver.StartChild(cmd, syscall.SIGKILL)
	require.NoError(t, err)
	p := &Process{t: t, name: cfg.Name, output: out.Name(), child: child}
	t.Cleanup(p.finish)
	return p
}

// PID returns the process id.
func (p *Process) PID() int { return p.child.PID() }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.child.Done() }

// Signal sends sig to the program, which must still be running.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	s, ok := sig.(syscall.Signal)
	require.True(p.t, ok, "not a signal of this system: %v", sig)
	require.NoError(p.t, p.child.Signal(s), "signal %s", p.name)
}

// Kill sends SIGKILL to the program and to the processes that it started, and returns when it has ended.
func (p *Process) Kill() {
	p.ended.Store(true)
	_ = p.child.SignalGroup(syscall.SIGKILL) // the only error is that it has ended
	<-p.child.Done()
}

// Stop sends SIGTERM to the program and returns its exit code. If the program has not ended after 25 s, the limit for
// every service, it is killed and the test fails.
func (p *Process) Stop() int {
	p.t.Helper()
	p.ended.Store(true)
	_ = p.child.Signal(syscall.SIGTERM)
	_ = p.child.Signal(syscall.SIGCONT) // a program that the test stopped by SIGSTOP could not handle SIGTERM
	select {
	case <-p.child.Done():
	case <-time.After(drainWithin):
		p.Kill()
		p.t.Errorf("%s did not end within %s of a SIGTERM", p.name, drainWithin)
	}
	return p.ExitCode()
}

// Terminate sends SIGTERM to a program that the test has not ended, and waits for nothing: Stop does. Programs that end at the same time
// wait for their last requests at the same time.
func (p *Process) Terminate() {
	if !p.ended.Load() {
		_ = p.child.Signal(syscall.SIGTERM) // the only error is that it has ended
	}
}

// Wait waits until the program ends by itself and returns its exit code. The test fails with the program's output
// shortly before the deadline of `go test`.
func (p *Process) Wait() int {
	p.t.Helper()
	var late <-chan time.Time
	if d, ok := p.t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, set := d.Deadline(); set {
			timer := time.NewTimer(time.Until(end) - 5*time.Second)
			defer timer.Stop()
			late = timer.C
		}
	}
	select {
	case <-p.child.Done():
	case <-late:
		require.FailNow(p.t, p.name+" has not ended")
	}
	return p.ExitCode()
}

// ExitCode returns the program's exit code, -1 if it is still running or was ended by a signal.
func (p *Process) ExitCode() int { return p.child.ExitCode() }

// Output returns what the program has written so far to standard output and standard error.
func (p *Process) Output() string {
	out, err := os.ReadFile(p.output)
	if err != nil {
		p.t.Errorf("read the output of %s: %v", p.name, err)
	}
	return string(out)
}

// finish ends the program when its test ends.
func (p *Process) finish() {
	if !p.ended.Load() {
		p.Stop()
	}
	out := []byte(p.Output())
	if bytes.Contains(out, []byte("WARNING: DATA RACE")) {
		p.t.Errorf("data race in %s", p.name)
	}
	if p.t.Failed() {
		p.t.Logf("output of %s:\n%s", p.name, out[max(0, len(out)-shownOutput):])
	}
}

func environment(own map[string]string) []string {
	env := []string{"GORACE=atexit_sleep_ms=20"} // a program with the race detector sleeps for a second before it exits, by default
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "USER", "GOCOVERDIR", "GORACE"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range own {
		env = append(env, name+"="+value) // if a name occurs twice, the last value counts
	}
	return env
}
