//go:build linux

package dev

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/testkit"
)

func TestNoChildLingersAfterWeWereKilledAndTheNextStartWaitsForThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lockFile, notes, log := filepath.Join(dir, "children.lock"), filepath.Join(dir, "notes"), filepath.Join(dir, "worker.log")
	cmd := exec.Command(testProgram(t))
	cmd.Env = append(os.Environ(), roleVariable+"=parent", "DEV_TEST_LOCK="+lockFile, "DEV_TEST_LOG="+log,
		"DEV_TEST_NOTES="+notes, "DEV_TEST_NAME=worker")
	shown := &paper{}
	cmd.Stdout, cmd.Stderr = shown, shown
	parent, err := localserver.StartChild(cmd, syscall.SIGKILL)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(shown.String(), "runs as") }, patience, 10*time.Millisecond)

	require.NoError(t, parent.Signal(syscall.SIGKILL))
	require.Error(t, parent.Wait())

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	taken, err := takeAfterLeftovers(ctx, lockFile, func() {})
	require.NoError(t, err, "the lock is free when the child has ended")
	require.NoError(t, taken.release())
	said, err := os.ReadFile(notes)
	require.NoError(t, err)
	require.Equal(t, "worker stopped\n", string(said), "it was asked to end, and could finish and say so")
}

func TestAStartWaitsAndSaysSoWhileAChildOfAnEarlierRunLives(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "children.lock")
	earlier, err := takeLock(path)
	require.NoError(t, err)
	waiting := testkit.NewSignal[string]()
	done := make(chan error, 1)
	go func() {
		taken, err := takeAfterLeftovers(t.Context(), path, func() { waiting.Send("told") })
		if err == nil {
			err = taken.release()
		}
		done <- err
	}()
	waiting.Require(t, patience, "told")
	require.NoError(t, earlier.release())
	require.NoError(t, <-done)
	waiting.RequireNone(t)
}
