package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
)

// run is a backfill of 1,000 users in a state.
func run(state string, processed int64) operatorapi.BackfillsReply {
	shown := operatorapi.Backfill{ID: 7, CustomerID: "acme", State: state, Processed: processed, Pages: processed / 15}
	if processed > 0 {
		shown.Total, shown.RequestsPerMinute, shown.EtaSeconds = new(int64(1000)), new(97.3), new((1000-processed)/25)
	}
	return operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{shown}}
}

func parked(processed int64, reason string) operatorapi.BackfillsReply {
	reply := run("parked", processed)
	reply.Backfills[0].ParkReason = &reason
	return reply
}

func TestWatchWritesALineForEachChangeAndEndsWithTheRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", inTurn(run("queued", 0), run("queued", 0), run("running", 150), run("running", 150), run("completed", 1000)))
	got := f.run("backfill", "watch", "acme")
	require.Zero(t, got.code)
	require.Empty(t, got.stderr)
	require.Equal(t, []string{
		"acme: backfill 7 queued, 0 users",
		"acme: backfill 7 running, 150 of 1,000 users, 97.3 pages/min, about 34s left",
		"acme: backfill 7 completed, 1,000 of 1,000 users, 97.3 pages/min",
	}, strings.Split(strings.TrimSpace(got.stdout), "\n"))
	require.Len(t, f.waits, 4)
	for _, waited := range f.waits {
		require.Equal(t, time.Second, waited, "not more than a line a second")
	}
}

func TestWatchPrintsTheReasonOfAParkedRunOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	down, refused := event.AlertDestinationDown, event.AlertAuthFailed
	f.answers("backfills", "ls", inTurn(
		run("running", 150), parked(150, down), run("running", 150), parked(150, down), // a probe that found it down still
		run("running", 300), parked(300, refused), run("completed", 1000)))
	got := f.run("backfill", "watch", "acme")
	require.Zero(t, got.code)
	for _, code := range []string{down, refused} {
		why, remedy := event.ExplainFor("acme", code)
		require.Equal(t, 1, strings.Count(got.stdout, "  "+why+"\n  "+remedy+"\n"), got.stdout)
	}
	require.Contains(t, got.stdout, "parked (destination_down)")
}

func TestWatchOnATerminalMovesABarFourTimesASecond(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.StdoutTerminal = true
	f.answers("backfills", "ls", inTurn(
		run("queued", 0), run("running", 150), parked(150, event.AlertDestinationDown), run("running", 1000), run("completed", 1000)))
	got := f.run("backfill", "watch", "acme")
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, "\r  15% ")
	require.Contains(t, got.stdout, "(150/1000) users, 97.3 pages/min, about 34s left")
	require.Contains(t, got.stdout, "parked (destination_down)")
	require.Equal(t, 2, strings.Count(got.stdout, "100%"), "a run that still works at its last user is drawn too")
	require.True(t, strings.HasSuffix(got.stdout, "\nacme: backfill 7 completed, 1,000 of 1,000 users, 97.3 pages/min\n"), got.stdout)
	require.Len(t, f.waits, 4)
	require.Equal(t, 250*time.Millisecond, f.waits[0])
}

func TestMoreUsersThanTheTotalSaysDoNotBreakTheBar(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.StdoutTerminal = true
	more := run("running", 1010)
	none := run("completed", 0)
	none.Backfills[0].Total = new(int64(0))
	f.answers("backfills", "ls", inTurn(more, none))
	got := f.run("backfill", "watch", "acme")
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, "(1010/1010)")
}

func TestWatchingAsJSONGivesTheRunAsItEndedAndProgressBesideIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", inTurn(run("running", 150), run("completed", 1000)))
	got := f.run("backfill", "watch", "acme", "--json")
	require.Zero(t, got.code)
	require.Equal(t, "completed", document[operatorapi.Backfill](t, got).State)
	require.Contains(t, got.stderr, "150 of 1,000 users")
}

func TestWatchOfARunThatDidNotCompleteIsExitStatusOne(t *testing.T) {
	t.Parallel()
	for state, reason := range map[string]string{
		"failed":    `rollcall: backfill 7 of "acme" failed after 150 users`,
		"cancelled": `rollcall: backfill 7 of "acme" was cancelled after 150 users`,
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.answers("backfills", "ls", inTurn(run("running", 150), run(state, 150)))
			got := f.run("backfill", "watch", "acme", "--json")
			require.Equal(t, 1, got.code)
			require.Equal(t, state, document[operatorapi.Backfill](t, got).State)
			require.Contains(t, got.stderr, reason)
		})
	}
}

func TestWatchSurvivesARestartOfTheService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stop := f.answers("backfills", "ls", always(run("running", 150)))
	f.onWait = func(number int) {
		switch number {
		case 1:
			stop()
		case 5:
			f.answers("backfills", "ls", always(run("completed", 1000)))
		}
	}
	got := f.run("backfill", "watch", "acme")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, 1, strings.Count(got.stdout, "waiting for it"))
}

func TestWatchSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", inTurn(run("running", 150), run("completed", 1000)))
	f.onWait = func(number int) {
		if number == 1 {
			f.nats.Restart(t)
		}
	}
	got := f.run("backfill", "watch", "acme")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "completed")
}

func TestWatchEndsIfTheServiceStaysAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stop := f.answers("backfills", "ls", always(run("running", 150)))
	f.onWait = func(number int) {
		if number == 1 {
			stop()
		}
	}
	got := f.run("backfill", "watch", "acme")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "no service answers rollcall.api.backfills.ls")
	require.Len(t, f.waits, 61, "a minute of patience")
}

func TestStoppedWatchSaysThatTheBackfillGoesOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", always(run("running", 150)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.onWait = func(number int) {
		if number == 2 {
			cancel()
		}
	}
	got := f.runWith(ctx, "backfill", "watch", "acme")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "goes on by itself")
}

func TestWatchRightAfterPublishingWaitsForTheCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", func(n int, question []byte) (any, string) {
		if n < 3 {
			return unknown(n, question)
		}
		return run("completed", 1000), ""
	})
	require.Zero(t, f.run("backfill", "watch", "acme").code)
}

func TestWatchOfAnUnknownCustomerEndsAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", unknown)
	require.Equal(t, unknownGlobex(), f.run("backfill", "watch", "globex"))
	require.Len(t, f.waits, 5, "a second each")
}
