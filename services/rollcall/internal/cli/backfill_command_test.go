package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/window"
)

// manyRuns answers like the service: newest first, in pages of the requested size.
func manyRuns(count int64) func(int, []byte) (any, string) {
	return func(_ int, data []byte) (any, string) {
		var question operatorapi.BackfillsQuestion
		if err := json.Unmarshal(data, &question); err != nil || question.Limit < 1 || question.Limit > 200 {
			return fmt.Sprintf("a bad question: %s", data), "400"
		}
		id := count
		if question.Before > 0 {
			id = question.Before - 1
		}
		page := operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{}}
		for ; id > 0 && len(page.Backfills) < int(question.Limit); id-- {
			page.Backfills = append(page.Backfills, operatorapi.Backfill{
				ID: id, CustomerID: fmt.Sprintf("customer-%d", id), State: "running", Processed: 1200, Total: new(int64(5000)),
				RequestsPerMinute: new(97.3), EtaSeconds: new(int64(4000)), CreatedAt: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC),
			})
		}
		if len(page.Backfills) == int(question.Limit) {
			page.Next = &page.Backfills[len(page.Backfills)-1].ID
		}
		return page, noCode
	}
}

func TestListStopsAtItsLimitAndSaysThatThereIsMore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", manyRuns(450))
	got := f.run("backfill", "ls", "--limit", "2")
	require.Zero(t, got.code)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `^ID +CUSTOMER +STATE +USERS +OF`, lines[0])
	require.Regexp(t, `^450 +customer-450 +running +1,200 +5,000 +0 +97\.3 +1h06m +2026-11-20 08:00:00 UTC$`, lines[1])
	require.Contains(t, got.stderr, "--all")
}

func TestListAsJSONIsOneDocumentForAnyNumberOfPages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", manyRuns(450))

	all := document[operatorapi.BackfillsReply](t, f.run("backfill", "ls", "--all", "--json"))
	require.Len(t, all.Backfills, 450)
	require.Nil(t, all.Next)
	require.Equal(t, int64(1), all.Backfills[449].ID)

	some := document[operatorapi.BackfillsReply](t, f.run("backfill", "ls", "--limit", "300", "--json"))
	require.Len(t, some.Backfills, 300)
	require.Equal(t, int64(151), *some.Next)
}

func TestEmptyListIsNoError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", manyRuns(0))
	got := f.run("backfill", "ls", "--json")
	require.Zero(t, got.code)
	require.JSONEq(t, `{"backfills":[],"next":null}`, got.stdout)
	got = f.run("backfill", "ls")
	require.Zero(t, got.code)
	require.Empty(t, got.stdout)
}

func TestBackfillCommandsSayWhatHappensNext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := operatorapi.Backfill{ID: 12, CustomerID: "acme", State: "paused", Processed: 1500}
	f.answers("backfills", "pause", always(operatorapi.BackfillCommanded{Action: operatorapi.BackfillPaused, Backfill: run}))
	run.State = "queued"
	f.answers("backfills", "start", func(_ int, question []byte) (any, string) {
		if string(question) != `{"customerId":"acme","rewrite":true}` {
			return "a bad question", service.CodeBadRequest
		}
		return operatorapi.BackfillCommanded{Action: operatorapi.BackfillStarted, Backfill: run}, noCode
	})
	run.State = "cancelled"
	f.answers("backfills", "cancel", always(operatorapi.BackfillCommanded{Action: operatorapi.BackfillCancelled, Backfill: run, NotBackfilled: true}))

	require.Equal(t, result{stdout: "acme: backfill 12 paused after 1,500 users; rollcall backfill start acme resumes it\n"}, f.run("backfill", "pause", "acme"))
	require.Equal(t, result{stdout: "acme: backfill 12 queued; users whose version is known are skipped\n"}, f.run("backfill", "start", "acme", "--rewrite"))
	require.Equal(t, "paused", document[operatorapi.BackfillCommanded](t, f.run("backfill", "pause", "acme", "--json")).Action)

	refused := f.run("backfill", "cancel", "acme")
	require.Equal(t, exitUsage, refused.code, "without a terminal to ask on it needs --force")
	cancelled := f.run("backfill", "cancel", "acme", "--force")
	require.Zero(t, cancelled.code)
	require.Contains(t, cancelled.stdout, "not backfilled")
}

func TestBackfillCancelOnATerminalAsksForTheCustomersName(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := operatorapi.Backfill{ID: 12, CustomerID: "acme", State: "cancelled"}
	f.answers("backfills", "cancel", always(operatorapi.BackfillCommanded{Action: operatorapi.BackfillCancelled, Backfill: run}))
	f.process.StdinTerminal = true
	f.process.Stdin = strings.NewReader("y\nacme\n")
	got := f.run("backfill", "cancel", "acme")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "not cancelled")
	require.Zero(t, f.run("backfill", "cancel", "acme").code)
}

func TestConflictIsPrintedInTheServicesWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "start", func(int, []byte) (any, string) { return "it is under way", service.CodeConflict })
	require.Equal(t, result{code: 1, stderr: "rollcall: it is under way\n"}, f.run("backfill", "start", "acme"))
}

func TestBackfillThatWaitsForItsWindowSaysUntilWhen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	until := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	waiting := operatorapi.Backfill{
		ID: 7, CustomerID: "acme", State: "parked", ParkReason: new(window.ReasonQuietHours), DueAt: &until,
		Processed: 1500, Total: new(int64(3000)),
	}
	done := waiting
	done.State, done.DueAt = "completed", nil
	f.answers("backfills", "ls", inTurn(
		operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{waiting}},
		operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{waiting}},
		operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{done}},
	))

	got := f.run("backfill", "ls")
	require.Regexp(t, `7 +acme +parked \(quiet_hours\) until 2026-11-21 00:00:00 UTC +1,500`, got.stdout)

	got = f.run("backfill", "watch", "acme")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "parked (quiet_hours) until 2026-11-21 00:00:00 UTC, 1,500 of 3,000 users")
	why, remedy := event.Explain(window.ReasonQuietHours)
	require.Contains(t, got.stdout, why)
	require.Contains(t, got.stdout, remedy)

	f.answers("status", "get", always(report.Status{CustomerID: "acme", Backfill: &report.BackfillStatus{
		State: "parked", WaitingFor: new(window.ReasonQuietHours), Until: &until, Processed: 1500, Total: new(int64(3000)),
	}}))
	require.Regexp(t, `state +parked \(quiet_hours\) until 2026-11-21 00:00:00 UTC`, f.run("status", "acme").stdout)
}
