package dev

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAtMostOneLineIsPrintedInTwoSeconds(t *testing.T) {
	t.Parallel()
	shown := &testScreen{}
	p := newProgress(newScreen(shown, shown, false), false)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	p.now = func() time.Time { return now }
	for processed := range int64(21) { // 5 s
		p.update(backfill("running", 15*processed))
		now = now.Add(lookEvery)
	}
	require.Equal(t, "backfill running: 0 of 1,000 users\nbackfill running: 120 of 1,000 users\nbackfill running: 240 of 1,000 users\n", shown.String())
}

func TestUnchangedLineIsNotPrinted(t *testing.T) {
	t.Parallel()
	shown := &testScreen{}
	p := newProgress(newScreen(shown, shown, false), false)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	p.now = func() time.Time { return now }
	for range 3 {
		p.update(backfill("running", 15))
		now = now.Add(time.Minute)
	}
	require.Equal(t, "backfill running: 15 of 1,000 users\n", shown.String())
}

func TestLineHasTheMeasuredRateAndTheTimeLeft(t *testing.T) {
	t.Parallel()
	run := backfill("running", 300)
	rate, eta := 99.04, int64(29)
	run.RequestsPerMinute, run.EtaSeconds = &rate, &eta
	require.Equal(t, "backfill running: 300 of 1,000 users, 99.0 requests a minute, about 29 s left", lineOf(run))
}

func TestBarFillsOnATerminal(t *testing.T) {
	t.Parallel()
	shown := &testScreen{}
	p := newProgress(newScreen(shown, shown, false), true)
	p.update(backfill("running", 450))
	p.finish(backfill("completed", 1_000))
	require.Contains(t, shown.String(), "45% |")
	require.Contains(t, shown.String(), "(1000/1000)")
	require.True(t, strings.HasSuffix(shown.String(), "\nbackfill completed: 1,000 users read\n"), shown.String())
}

func TestReasonOfAParkedBackfillIsPrintedOnce(t *testing.T) {
	t.Parallel()
	shown := &testScreen{}
	p := newProgress(newScreen(shown, shown, false), true)
	run := backfill("parked", 450)
	why := "destination_down"
	run.ParkReason = &why
	p.update(run)
	p.update(run)
	require.Equal(t, 1, strings.Count(shown.String(), "the backfill waits: destination_down\n"))
}
