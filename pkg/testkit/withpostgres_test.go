package testkit_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

const withPostgres = "rollcall.dev/pkg/testkit/withpostgres"

func TestWithPostgresPassesServerURLAndReturnsExitCode(t *testing.T) {
	t.Parallel()
	temp := openFolder(t)
	program := testkit.Program(t, withPostgres, testkit.ProgramConfig{
		Args: []string{"-in", temp, "--", "sh", "-c", `ls "$SERVERS"; echo "server: $ROLLCALL_TEST_POSTGRES"; exit 9`},
		Env:  map[string]string{"SERVERS": temp},
	})
	require.Equal(t, 9, program.Wait())
	require.Contains(t, program.Output(), "rollcall-postgres-")
	require.Contains(t, program.Output(), "server: postgres://rollcall:")
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left, "the server's folder is gone")
}

func TestWithPostgresForwardsSignalsAndStopsItsServer(t *testing.T) {
	t.Parallel()
	temp := openFolder(t)
	program := testkit.Program(t, withPostgres, testkit.ProgramConfig{
		Args: []string{"--", "sh", "-c", `trap 'echo terminated; exit 4' TERM; echo waiting; while :; do sleep 0.05; done`},
		Env:  map[string]string{"TMPDIR": temp},
	})
	server := serverIn(t, temp)
	eventually(t, func() bool { return strings.Contains(program.Output(), "waiting") })

	require.Equal(t, 4, program.Stop())

	require.Contains(t, program.Output(), "terminated")
	require.False(t, alive(server))
}

func TestServerOfKilledParentEnds(t *testing.T) {
	t.Parallel()
	temp := openFolder(t)
	program := testkit.Program(t, withPostgres, testkit.ProgramConfig{
		Args: []string{"--", "sleep", "600"},
		Env:  map[string]string{"TMPDIR": temp},
	})
	server := serverIn(t, temp)

	program.Kill()

	eventually(t, func() bool { return !alive(server) })
}

// openFolder returns a temporary folder that other users can enter, like /tmp.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "testkit-") //nolint:usetesting // other users cannot enter t.TempDir's parent
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// serverIn waits for a Postgres in a folder under temp to accept connections and returns its process id.
func serverIn(t *testing.T, temp string) int {
	t.Helper()
	var pid int
	eventually(t, func() bool {
		files, err := filepath.Glob(filepath.Join(temp, "*", "data", "postmaster.pid"))
		if err != nil || len(files) == 0 {
			return false
		}
		content, err := os.ReadFile(files[0])
		lines := strings.Split(string(content), "\n")
		if err != nil || len(lines) < 8 || !strings.HasPrefix(lines[7], "ready") {
			return false
		}
		pid, err = strconv.Atoi(lines[0])
		return err == nil
	})
	return pid
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 20*time.Millisecond)
}
