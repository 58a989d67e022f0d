package dev

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServicesStopBeforeTheSandboxThatTheyUse(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.add(f.member("sandbox", "worker"))
	require.NoError(t, f.awaitReady(t.Context()))
	f.add(f.member("onboarding", "worker"), f.member("backfill", "worker"))
	require.NoError(t, f.awaitReady(t.Context()))

	require.NoError(t, f.stop())

	notes := f.notes()
	require.ElementsMatch(t, []string{"onboarding stopped", "backfill stopped"}, notes[:2])
	require.Equal(t, []string{"sandbox stopped"}, notes[2:])
	f.told.RequireNone(t)
}

func TestAChildThatEndsByItselfIsStartedAgainAndToldOnce(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.add(f.member("onboarding", "worker"))
	require.NoError(t, f.awaitReady(t.Context()))
	require.NoError(t, syscall.Kill(f.pid("onboarding"), syscall.SIGKILL))

	require.Equal(t, "onboarding ended by itself (signal: killed); it starts again in 1ms", f.told.Wait(t, patience))
	require.NoError(t, f.awaitReady(t.Context()), "it works again")
	require.NoError(t, f.stop())
	require.Equal(t, []string{"onboarding stopped"}, f.notes())
	f.told.RequireNone(t)
}

func TestThePauseBeforeARestartGrowsUpToALimit(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.add(f.member("backfill", "broken"))
	var pauses []string
	for range 7 {
		told := f.told.Wait(t, patience)
		require.Contains(t, told, "exit status 3")
		pauses = append(pauses, told[strings.LastIndex(told, " ")+1:])
	}
	require.Equal(t, []string{"1ms", "2ms", "4ms", "8ms", "16ms", "20ms", "20ms"}, pauses)
	require.NoError(t, f.stop())
}

func TestAChildThatCannotStartFailsTheStartWithItsLastWords(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.add(f.member("onboarding", "worker"), f.member("backfill", "broken"))
	err := f.awaitReady(t.Context())
	require.Error(t, err)
	require.Regexp(t, `backfill ended ([3-9]|[1-9][0-9]+) times before it could work \(exit status 3\)`, err.Error()) // it may end once more meanwhile
	require.ErrorContains(t, err, "the settings are no good")
	require.NoError(t, f.stop())
	require.Equal(t, []string{"onboarding stopped"}, f.notes(), "the others end as ever")
}

func TestASecondInterruptKillsAChildThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.add(f.member("backfill", "stubborn"))
	require.NoError(t, f.awaitReady(t.Context()))
	close(f.hurry)
	began := time.Now()
	require.NoError(t, f.stop())
	require.Less(t, time.Since(began), stopWithin)
	require.Equal(t, "backfill does not end: it is killed", f.told.Wait(t, patience))
}

func TestAChildThatWasSuspendedStillEndsPolitely(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.add(f.member("backfill", "worker"))
	require.NoError(t, f.awaitReady(t.Context()))
	require.NoError(t, syscall.Kill(f.pid("backfill"), syscall.SIGSTOP))
	require.NoError(t, f.stop())
	require.Equal(t, []string{"backfill stopped"}, f.notes())
}
