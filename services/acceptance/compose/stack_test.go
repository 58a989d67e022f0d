//go:build compose

package compose_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	soon    = 30 * time.Second
	longest = 2 * time.Minute // what takes seconds, on a machine that does many other things
	build   = 8 * time.Minute // what takes minutes: all programs, from nothing
)

// stack is the product as Compose runs it. deploy/test-compose decides on its project, files, settings and ports,
// and removes what is left of it.
type stack struct {
	t       *testing.T
	compose []string // the command, with the options that every call takes
	clone   string   // folder with the sources, and neither .env nor built programs
	began   time.Time
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t, compose: strings.Fields(setting(t, "COMPOSE")), clone: setting(t, "CLONE"), began: time.Now()}
	t.Cleanup(func() {
		if t.Failed() {
			s.explain()
		}
	})
	return s
}

func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	require.NotEmpty(t, value, "%s is not set: run this test by `make test/compose`", name)
	return value
}

// step tells people who wait how far it is.
func (s *stack) step(what string) {
	s.t.Helper()
	s.t.Logf("%5.1f s  %s", time.Since(s.began).Seconds(), what)
}

// run is a command that must succeed. The test's context has ended when cleanups run: they bring their own.
func (s *stack) run(command ...string) string {
	s.t.Helper()
	return s.runWithin(longest, command...)
}

func (s *stack) runWithin(limit time.Duration, command ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	out, errors, err := s.output(ctx, command)
	require.NoError(s.t, err, "%s: %s%s", strings.Join(command, " "), out, errors)
	return strings.TrimSpace(out)
}

func (s *stack) output(ctx context.Context, command []string) (out, errors string, err error) {
	run := exec.CommandContext(ctx, command[0], command[1:]...)
	run.Dir = s.clone
	var stdout, stderr bytes.Buffer
	run.Stdout, run.Stderr = &stdout, &stderr
	err = run.Run()
	return stdout.String(), stderr.String(), err
}

func (s *stack) do(arguments ...string) string {
	s.t.Helper()
	return s.run(append(append([]string{}, s.compose...), arguments...)...)
}

// up is the command of the operator's that brings all up, and builds what is missing.
func (s *stack) up(options ...string) {
	s.t.Helper()
	s.runWithin(build, append(append(append([]string{}, s.compose...), "up", "--detach"), options...)...)
}

// scale is up with as many backfill workers.
func (s *stack) scale(workers int) {
	s.t.Helper()
	s.up("--scale", "backfill="+strconv.Itoa(workers))
}

// containers are the ids of a service's containers, or of all; also of those that have ended.
func (s *stack) containers(service string) []string {
	s.t.Helper()
	filters := []string{"--filter", "label=com.docker.compose.project=" + setting(s.t, "COMPOSE_PROJECT_NAME")}
	if service != "" {
		filters = append(filters, "--filter", "label=com.docker.compose.service="+service)
	}
	return strings.Fields(s.run(append([]string{"docker", "ps", "--all", "--quiet"}, filters...)...))
}

// crash kills a container's first process from outside, as the kernel does when memory runs out. `docker kill` is
// no crash: the engine takes it for an operator's wish, and no restart policy brings the container back.
func (s *stack) crash(container string) {
	s.t.Helper()
	before := s.inspect(container, "{{.RestartCount}}")
	pid := s.inspect(container, "{{.State.Pid}}")
	require.NotEqual(s.t, "0", pid, "the container runs")
	s.run("docker", "run", "--rm", "--pid=host", "--network=none", "--user=0", "--entrypoint=kill",
		setting(s.t, "HELPER_IMAGE"), "-KILL", pid)
	s.until(soon, "the restart policy starts it again", func() bool {
		return s.inspect(container, "{{.RestartCount}}") != before && s.inspect(container, "{{.State.Running}}") == "true"
	})
}

func (s *stack) inspect(container, format string) string {
	s.t.Helper()
	return s.run("docker", "inspect", "--format", format, container)
}

// query asks Postgres in its container, which the host cannot reach.
func (s *stack) query(sql string) string {
	s.t.Helper()
	return s.do("exec", "-T", "postgres", "psql", "-U", "rollcall", "-d", "rollcall", "-tAc", sql)
}

func (s *stack) until(within time.Duration, what string, holds func() bool) {
	s.t.Helper()
	require.Eventually(s.t, holds, within, 100*time.Millisecond, what)
}

// explain shows what a failure needs to be understood, before everything is removed.
func (s *stack) explain() {
	for _, arguments := range [][]string{{"ps"}, {"logs", "--no-color", "--tail=60"}} {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		out, errors, err := s.output(ctx, append(append([]string{}, s.compose...), arguments...))
		cancel()
		s.t.Logf("%s (%v):\n%s%s", strings.Join(arguments, " "), err, out, errors)
	}
}
