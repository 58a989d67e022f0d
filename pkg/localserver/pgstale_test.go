package localserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServerOfKilledRunIsStoppedBeforeStart(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := newPostgres(t, PostgresConfig{Dir: dir})
	execute(t, first, `CREATE TABLE kept AS SELECT 'still here' AS word`)
	require.NoError(t, first.home.close(), "as if the parent has died: the lock is released, the server still runs")

	second := newPostgres(t, PostgresConfig{Dir: dir})

	require.NoError(t, first.child.Wait(), "it was shut down in order")
	require.Equal(t, "still here", ask(t, second, `SELECT word FROM kept`))
}

func TestStartIgnoresPidFileOfDeadServer(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := newPostgres(t, PostgresConfig{Dir: dir, Durable: true})
	execute(t, first, `CREATE TABLE kept AS SELECT 'still here' AS word`)
	require.NoError(t, first.child.Signal(syscall.SIGKILL))
	require.Error(t, first.child.Wait())
	require.FileExists(t, pidFile(first))
	first.Stop()

	second := newPostgres(t, PostgresConfig{Dir: dir, Durable: true})

	require.Equal(t, "still here", ask(t, second, `SELECT word FROM kept`))
}

func TestStartIgnoresPidFileWithPidOfAnotherProgram(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := newPostgres(t, PostgresConfig{Dir: dir, Durable: true})
	execute(t, first, `CREATE TABLE kept AS SELECT 'still here' AS word`)
	require.NoError(t, first.child.Signal(syscall.SIGKILL))
	require.Error(t, first.child.Wait())
	first.Stop()
	// The process must belong to the server's user: Postgres itself detects a pid of another user.
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: first.home.cred}
	bystander, err := StartChild(cmd, syscall.SIGKILL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bystander.Wait() })
	t.Cleanup(func() { _ = bystander.Signal(syscall.SIGKILL) })
	content, err := os.ReadFile(pidFile(first))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(content), "\n")
	require.NoError(t, os.WriteFile(pidFile(first), []byte(strconv.Itoa(bystander.PID())+"\n"+rest), 0o600))

	second := newPostgres(t, PostgresConfig{Dir: dir, Durable: true})

	require.Equal(t, "still here", ask(t, second, `SELECT word FROM kept`))
	require.Equal(t, -1, bystander.ExitCode(), "the other program must keep running")
}

func TestStartIgnoresEmptyPidFile(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := newPostgres(t, PostgresConfig{Dir: dir})
	first.Stop()
	require.NoError(t, os.WriteFile(pidFile(first), nil, 0o600))

	newPostgres(t, PostgresConfig{Dir: dir})
}

func pidFile(p *Postgres) string { return filepath.Join(p.Dir(), "data", "postmaster.pid") }
