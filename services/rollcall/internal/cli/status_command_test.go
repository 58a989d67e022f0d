package cli

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

func TestAnUnknownCustomerIsExitStatusOneWithTheReason(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("status", "get", unknown)
	f.answers("backfills", "ls", unknown)
	for _, args := range [][]string{
		{"status", "globex"}, {"status", "globex", "--json"}, {"backfill", "watch", "globex", "--json"}, {"offboard", "globex", "--force"},
	} {
		require.Equal(t, unknownGlobex(), f.run(args...), args)
	}
}

func TestInvalidIDIsPrintedInTheServicesWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("status", "get", func(int, []byte) (any, string) { return "that is no customer id", service.CodeBadRequest })
	require.Equal(t, result{code: 1, stderr: "rollcall: that is no customer id\n"}, f.run("status", "ACME Ltd"))
}

func TestTheStatusAsJSONIsWhatTheServiceSaid(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	said := json.RawMessage(`{"customerId":"acme","polling":{"lastRunAt":null},"fromTheFuture":9007199254740993}`)
	f.answers("status", "get", func(_ int, question []byte) (any, string) {
		if string(question) != `{"customerId":"acme"}` {
			return "a bad question", service.CodeBadRequest
		}
		return said, noCode
	})
	got := f.run("status", "acme", "--json")
	require.Zero(t, got.code)
	require.Empty(t, got.stderr)
	require.JSONEq(t, string(said), string(document[json.RawMessage](t, got)))
	require.Contains(t, got.stdout, "9007199254740993", "a number must not lose its last digits")
}

func TestStatusPrintsAllGroupsAndTheRemedies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	why, remedy := event.Explain(event.AlertDestinationDown)
	f.answers("status", "get", always(report.Status{
		CustomerID:  "acme",
		Integration: report.Integration{Enabled: true, OnboardedAt: time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)},
		Backfill:    &report.BackfillStatus{State: "parked", Processed: 1500, Total: new(int64(12_345)), EtaSeconds: new(int64(440))},
		Health: report.Health{DlqDepth: 3, Reasons: []report.Reason{{
			Code: event.AlertDestinationDown, Text: why, Remedy: remedy,
		}}},
		Inventory:      report.Inventory{TotalUsersMirrored: 1499},
		Reconciliation: report.Reconciliation{LastDate: new("2026-11-19"), Expected: new(int64(1200)), Gaps: new(int64(2))},
		Budget: report.Budget{
			Today: map[string]int64{"user_sync_poll": 48}, Total: map[string]int64{"user_sync_poll": 4812, "initial_backfill": 823},
			PerMinute: new(100.0),
		},
	}))
	got := f.run("status", "acme")
	require.Zero(t, got.code)
	require.Empty(t, got.stderr)
	for _, want := range []string{
		`(?m)^  integration$`, `(?m)^  polling$`, `(?m)^  health$`, `(?m)^  inventory$`,
		`enabled +yes`, `onboarded +2026-11-20 08:30:00 UTC`, `backfill completed +not known yet`,
		`state +parked`, `users +1,500 of 12,345`, `time left +7m20s`,
		`of the day +2026-11-19`, `expected +1,200`, `gaps +2`, `requests to VOMO +today +ever`, `user_sync_poll +48 +4,812`,
		`initial_backfill +0 +823`, `limit +100 a minute`,
		`last run +not known yet`, `next run +none is scheduled`, `healthy +not known yet`, `open dead letters +3`, `users mirrored +1,499`,
	} {
		require.Regexp(t, want, got.stdout)
	}
	require.Contains(t, got.stdout, event.AlertDestinationDown+": "+why+"\n  "+remedy)
}

func TestStatusSaysUntilWhenAnOffboardedCustomerReturnsWithoutABackfill(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	status := polledStatus(7)
	purge := testTime.AddDate(0, 0, 30)
	status.Integration.Enabled, status.Integration.OffboardedAt, status.Integration.PurgeAt = false, &testTime, &purge
	f.answers("status", "get", always(status))
	require.Regexp(t, `enabled +no, offboarded 2026-11-20 08:00:00 UTC, a return needs no backfill until 2026-12-20 08:00:00 UTC`, f.run("status", "acme").stdout)
}

func TestStatusSaysWhatAPollWaitsForAndHowTheLastOneFailed(t *testing.T) {
	t.Parallel()
	due := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for want, run := range map[string]report.OpenRun{
		"(one is parked, vomo_unavailable, tried again 2026-11-20 09:00:00 UTC)": {State: "parked", ParkReason: new("vomo_unavailable"), DueAt: &due},
		"(one is parked, auth_failed, until the customer goes on)":               {State: "parked", ParkReason: new("auth_failed")},
		"(one is running)": {State: "running", ParkReason: new("vomo_unavailable")},
	} {
		f := newFixture(t)
		status := polledStatus(7)
		status.Polling.LastRunOutcome, status.Polling.LastRun.ErrorCode = new("failed"), new("too_many_attempts")
		status.Polling.OpenRun = &run
		f.answers("status", "get", always(status))
		got := f.run("status", "acme")
		require.Contains(t, got.stdout, want)
		require.Regexp(t, `last outcome +failed \(too_many_attempts\)`, got.stdout)
	}
}
