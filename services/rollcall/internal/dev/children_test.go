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

func TestServicesStopBeforeTheSandboxThatTheyUse(t *testing.T) {
	t.Parallel()
	f := newChildrenFixture(t)
	f.add(f.member("sandbox", "worker"))
	require.NoError(t, f.awaitReady(t.Context()))
	f.add(f.member("onboarding", "worker"), f.member("backfill", "worker"))
	require.NoError(t, f.awaitReady(t.Context()))

	require.NoError(t, f.stop())

	notes := f.notes()
	require.ElementsMatch(t, []string{"onboarding stopped", "backfill stopped"}, notes[:2])
	require.Equal(t, []string{"sandbox stopped"}, notes[2:])
	f.said.RequireNone(t)
}

func TestChildThatEndsByItselfIsStartedAgainAndReportedOnce(t *testing.T) {
	t.Parallel()
	f := newChildrenFixture(t)
	f.add(f.member("onboarding", "worker"))
	require.NoError(t, f.awaitReady(t.Context()))
	require.NoError(t, syscall.Kill(f.pid("onboarding"), syscall.SIGKILL))

	require.Equal(t, "onboarding ended by itself (signal: killed); it starts again in 1ms", f.said.Wait(t, patience))
	require.NoError(t, f.awaitReady(t.Context()), "it works again")
	require.NoError(t, f.stop())
	require.Equal(t, []string{"onboarding stopped"}, f.notes())
	f.said.RequireNone(t)
}

func TestPauseBeforeRestartGrowsUpToLimit(t *testing.T) {
	t.Parallel()
	f := newChildrenFixture(t)
	f.add(f.member("backfill", "broken"))
	var pauses []string
	for range 7 {
		said := f.said.Wait(t, patience)
		require.Contains(t, said, "exit status 3")
		pauses = append(pauses, said[strings.LastIndex(said, " ")+1:])
	}
	require.Equal(t, []string{"1ms", "2ms", "4ms", "8ms", "16ms", "20ms", "20ms"}, pauses)
	require.NoError(t, f.stop())
}

func TestChildThatCannotStartFailsTheStartWithTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	f := newChildrenFixture(t)
	f.add(f.member("onboarding", "worker"), f.member("backfill", "broken"))
	err := f.awaitReady(t.Context())
	require.Error(t, err)
	require.Regexp(t, `backfill ended ([3-9]|[1-9][0-9]+) times before it could work \(exit status 3\)`, err.Error()) // it may end once more meanwhile
	require.ErrorContains(t, err, "the settings are no good")
	require.NoError(t, f.stop())
	require.Equal(t, []string{"onboarding stopped"}, f.notes(), "the others end as ever")
}

func TestSecondInterruptKillsChildThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	f := newChildrenFixture(t)
	f.add(f.member("backfill", "stubborn"))
	require.NoError(t, f.awaitReady(t.Context()))
	close(f.hurry)
	began := time.Now()
	require.NoError(t, f.stop())
	require.Less(t, time.Since(began), stopWithin)
	require.Equal(t, "backfill does not end: it is killed", f.said.Wait(t, patience))
}

func TestSuspendedChildEndsOnSIGTERM(t *testing.T) {
	t.Parallel()
	f := newChildrenFixture(t)
	f.add(f.member("backfill", "worker"))
	require.NoError(t, f.awaitReady(t.Context()))
	require.NoError(t, syscall.Kill(f.pid("backfill"), syscall.SIGSTOP))
	require.NoError(t, f.stop())
	require.Equal(t, []string{"backfill stopped"}, f.notes())
}

func TestChildrenEndAfterTheParentIsKilledAndTheNextStartWaitsForThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lockFile, notes, log := filepath.Join(dir, "children.lock"), filepath.Join(dir, "notes"), filepath.Join(dir, "worker.log")
	cmd := exec.Command(testProgram(t))
	cmd.Env = append(os.Environ(), roleVariable+"=parent", "DEV_TEST_LOCK="+lockFile, "DEV_TEST_LOG="+log,
		"DEV_TEST_NOTES="+notes, "DEV_TEST_NAME=worker")
	shown := &testScreen{}
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

func TestStartWaitsAndSaysSoWhileChildOfAnEarlierRunLives(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "children.lock")
	earlier, err := takeLock(path)
	require.NoError(t, err)
	waiting := testkit.NewSignal[string]()
	done := make(chan error, 1)
	go func() {
		taken, err := takeAfterLeftovers(t.Context(), path, func() { waiting.Send("waiting") })
		if err == nil {
			err = taken.release()
		}
		done <- err
	}()
	waiting.Require(t, patience, "waiting")
	require.NoError(t, earlier.release())
	require.NoError(t, <-done)
	waiting.RequireNone(t)
}
