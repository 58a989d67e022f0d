package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/window"
)

func TestAWindowThatWouldBeRefusedIsNotPublished(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	for _, c := range [][]string{
		{"quietHours.zone", "--quiet-hours", "08:00-18:00"},
		{"quietHours.zone", "--quiet-hours", "08:00-18:00 America/Sesame"},
		{"quietHours.to", "--quiet-hours", "08:00 UTC"},
		{"quietHours.weekdays", "--quiet-hours", "08:00-18:00 UTC", "--quiet-days", "someday"},
		{"--quiet-hours", "--quiet-days", "mon"},
		{"--not-before", "--not-before", "tomorrow"},
	} {
		args := append([]string{"onboard", "acme", "--url", "https://crm.example/api", "--vomo-token", vomoToken}, c[1:]...)
		got := s.run(args...)
		require.Equal(t, 2, got.code, args)
		require.Contains(t, got.stderr, c[0], args)
	}
	info, err := s.stream.Info(t.Context())
	require.NoError(t, err)
	require.Zero(t, info.State.Msgs)
}

func TestABackfillThatWaitsForItsTimeSaysUntilWhen(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	until := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	waiting := report.Backfill{
		ID: 7, CustomerID: "acme", State: "parked", ParkReason: new(window.ReasonQuietHours), DueAt: &until,
		Processed: 1500, Total: new(int64(3000)),
	}
	done := waiting
	done.State, done.DueAt = "completed", nil
	i.answers("backfills", "ls", inTurn(
		report.BackfillsReply{Backfills: []report.Backfill{waiting}},
		report.BackfillsReply{Backfills: []report.Backfill{waiting}},
		report.BackfillsReply{Backfills: []report.Backfill{done}},
	))

	got := i.run("backfill", "ls")
	require.Regexp(t, `7 +acme +parked \(quiet_hours\) until 2026-11-21 00:00:00 UTC +1,500`, got.stdout)

	got = i.run("backfill", "watch", "acme")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "parked (quiet_hours) until 2026-11-21 00:00:00 UTC, 1,500 of 3,000 users")
	why, remedy := event.Explain(window.ReasonQuietHours)
	require.Contains(t, got.stdout, why)
	require.Contains(t, got.stdout, remedy)

	i.answers("status", "get", always(report.Status{CustomerID: "acme", Backfill: &report.BackfillStatus{
		State: "parked", WaitingFor: new(window.ReasonQuietHours), Until: &until, Processed: 1500, Total: new(int64(3000)),
	}}))
	require.Regexp(t, `state +parked \(quiet_hours\) until 2026-11-21 00:00:00 UTC`, i.run("status", "acme").stdout)
}
