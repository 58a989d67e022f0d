package testkit_test

import (
	"errors"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

const aProgram = "rollcall.dev/pkg/testkit/testdata/program"

func TestProgramRunsUntilStopped(t *testing.T) {
	t.Parallel()
	addr := testkit.FreeAddr(t)
	program := testkit.Program(t, aProgram, testkit.ProgramConfig{
		Args: []string{"one", "two"},
		Env:  map[string]string{"GREETING": "hello", "HTTP_ADDR": addr},
	})
	testkit.WaitReady(t, "http://"+addr+"/readyz")
	require.Equal(t, -1, program.ExitCode())
	require.Contains(t, program.Output(), "greeting: hello stray:  args: [one two]", "this process's environment must not reach the program")

	require.Equal(t, 3, program.Stop())

	require.Contains(t, program.Output(), "drained")
	require.Equal(t, 3, program.ExitCode())
}

func TestKillReturnsAfterProgramEnded(t *testing.T) {
	t.Parallel()
	program := testkit.Program(t, aProgram, testkit.ProgramConfig{})
	program.Kill()
	require.ErrorIs(t, syscall.Kill(program.PID(), 0), syscall.ESRCH)
	require.Equal(t, -1, program.ExitCode())
	require.NotContains(t, program.Output(), "drained")
}

func TestProgramStoppedBySIGSTOPEndsWithItsTest(t *testing.T) { //nolint:tparallel // what follows is after the subtest's end
	t.Parallel()
	var pid int
	t.Run("the test that started it", func(t *testing.T) {
		program := testkit.Program(t, aProgram, testkit.ProgramConfig{})
		program.Signal(syscall.SIGSTOP)
		pid = program.PID()
	})
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
}

func TestWaitReturnsExitCodeOfProgramThatEnds(t *testing.T) {
	t.Parallel()
	program := testkit.Program(t, aProgram, testkit.ProgramConfig{Args: []string{"end"}})
	require.Equal(t, 7, program.Wait())
	require.Equal(t, 7, program.Stop(), "a second Stop must change nothing")
}

func TestFailedTestPrintsOutputOfItsProgram(t *testing.T) {
	t.Parallel()
	said := expectFailure(t, func(t *recorder) {
		program := testkit.Program(t, aProgram, testkit.ProgramConfig{Args: []string{"end"}, Env: map[string]string{"GREETING": "look here"}})
		program.Wait()
		t.Errorf("some failure")
	})
	require.Contains(t, said, "greeting: look here")
}

func TestBuildErrorFailsTest(t *testing.T) {
	t.Parallel()
	said := expectFailure(t, func(t *recorder) {
		testkit.Program(t, "rollcall.dev/pkg/testkit/testdata/nothing", testkit.ProgramConfig{})
	})
	require.Contains(t, said, "build rollcall.dev/pkg/testkit/testdata/nothing")
}

func TestFreeAddressesAreDifferent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 200 {
		addr := testkit.FreeAddr(t)
		require.False(t, seen[addr], "address %s came twice, at call %s", addr, strconv.Itoa(i))
		seen[addr] = true
	}
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
