package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func heldRun() operatorapi.DeletionRun {
	return operatorapi.DeletionRun{
		ID: 17, CustomerID: "acme", Entity: "user", State: "held", HeldFor: new("share"), Text: new("30 of 100 users (30.0 %) would be deleted."),
		Mapped: 100, Scanned: 70, Missing: 30, Confirmed: 30, StartedAt: testTime, HeldAt: &testTime, ExpiresAt: &testTime,
	}
}

func TestDeletionsAreListedAndShown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("deletions", "ls", always(operatorapi.DeletionsReply{Deletions: []operatorapi.DeletionRun{heldRun()}}))
	got := f.run("deletions", "ls")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `^RUN +CUSTOMER +ENTITY +STATE +KNOWN +SCANNED +MISSING +CONFIRMED +DELETED +FAILED +STARTED\n`, got.stdout)
	require.Regexp(t, `\n17 +acme +user +held +100 +70 +30 +30 +0 +0 +2026-11-20`, got.stdout)
	require.Len(t, document[operatorapi.DeletionsReply](t, f.run("deletions", "ls", "acme", "--json")).Deletions, 1)

	f.answers("deletions", "show", func(_ int, data []byte) (any, string) {
		var question operatorapi.DeletionQuestion
		if err := json.Unmarshal(data, &question); err != nil || question.CustomerID != "acme" {
			return "a bad question", service.CodeBadRequest
		}
		one := operatorapi.DeletionCandidate{VomoID: "8205", State: "confirmed", Email: new("ana@example.org"), SourceUpdatedAt: &testTime, AskedAt: &testTime}
		if question.After == "8205" {
			one.VomoID, one.Email = "8206", nil
			return operatorapi.DeletionShown{DeletionRun: heldRun(), Candidates: []operatorapi.DeletionCandidate{one}}, noCode
		}
		return operatorapi.DeletionShown{DeletionRun: heldRun(), Candidates: []operatorapi.DeletionCandidate{one}, Next: new("8205")}, noCode
	})
	got = f.run("deletions", "show", "acme", "--all")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "30 of 100 users (30.0 %) would be deleted.\nIt waits for rollcall deletions approve or reject, until 2026-11-20")
	require.Regexp(t, `8205 +confirmed +- +ana@example\.org +.*\n8206 +confirmed +- +- `, got.stdout)
	require.Len(t, document[operatorapi.DeletionShown](t, f.run("deletions", "show", "acme", "--all", "--json")).Candidates, 2)
}

func TestHeldDeletionsAreApprovedAndRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := heldRun()
	f.answers("deletions", "approve", always(operatorapi.DeletionCommanded{Action: operatorapi.DeletionApproved, Deletion: &run}))
	f.answers("deletions", "reject", func(int, []byte) (any, string) {
		return "no such deletion scan of the customer is held", service.CodeConflict
	})
	f.answers("deletions", "scan", always(operatorapi.DeletionCommanded{Action: operatorapi.DeletionScanStarted}))
	require.Contains(t, f.run("deletions", "approve", "acme", "--run", "17").stdout, "Deletion scan 17 of acme approved")
	require.Equal(t, operatorapi.DeletionApproved, document[operatorapi.DeletionCommanded](t, f.run("deletions", "approve", "acme", "--json")).Action)
	require.Equal(t, result{code: exitFailed, stderr: "rollcall: no such deletion scan of the customer is held\n"}, f.run("deletions", "reject", "acme"))
	require.Contains(t, f.run("deletions", "scan", "acme").stdout, "Deletion scan of acme requested")
}

func TestDeletedGiftsHaveTheSameCommands(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := heldRun()
	run.Entity = operatorapi.EntityGift
	checked := func(reply any) func(int, []byte) (any, string) {
		return func(_ int, data []byte) (any, string) {
			var question operatorapi.DeletionQuestion
			if err := json.Unmarshal(data, &question); err != nil || question.Entity != operatorapi.EntityGift {
				return "a bad question", service.CodeBadRequest
			}
			return reply, noCode
		}
	}
	f.answers("deletions", "ls", checked(operatorapi.DeletionsReply{Deletions: []operatorapi.DeletionRun{run}}))
	require.Regexp(t, `\n17 +acme +gift +held`, f.run("deletions", "ls", "--entity", "gift").stdout)
	f.answers("deletions", "show", checked(operatorapi.DeletionShown{DeletionRun: run, Candidates: []operatorapi.DeletionCandidate{
		{VirtuousGiftID: new(int64(4410)), State: "deleted", Code: new("source_not_found"), AskedAt: &testTime},
	}}))
	got := f.run("deletions", "show", "acme", "--entity", "gift")
	require.Contains(t, got.stdout, "Virtuous has 70 gifts; 30 missing")
	require.Contains(t, got.stdout, "It waits for rollcall deletions approve --entity gift or reject --entity gift, until 2026-11-20")
	require.Regexp(t, `\n4410 +deleted +source_not_found +2026-11-20`, got.stdout)
	f.answers("deletions", "approve", checked(operatorapi.DeletionCommanded{Action: operatorapi.DeletionApproved, Deletion: &run}))
	require.Contains(t, f.run("deletions", "approve", "acme", "--entity", "gift").stdout, "approved: Virtuous is asked for each missing gift. "+
		"rollcall deletions show acme --entity gift shows")
	f.answers("deletions", "undo", checked(operatorapi.UndoCommanded{Gifts: 1, RunIDs: []int64{17}, NotDeleted: []string{}}))
	require.Equal(t, exitUsage, f.run("deletions", "undo", "acme", "--entity", "gift", "don-1").code)
	got = f.run("deletions", "undo", "acme", "--entity", "gift", "4410", "--no-wait")
	require.Contains(t, got.stdout, "1 gift of acme are read again", got.stderr)
}

func TestUndoWaitsAndSaysWhatCameOfEachUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, exitUsage, f.run("deletions", "undo", "acme").code)
	require.Equal(t, exitUsage, f.run("deletions", "undo", "acme", "1", "--run", "3").code)
	f.answers("deletions", "undo", always(operatorapi.UndoCommanded{Users: 3, RunIDs: []int64{17}, NotDeleted: []string{"9"}}))
	asked := 0
	f.answers("deletions", "show", func(_ int, data []byte) (any, string) {
		var question operatorapi.DeletionQuestion
		if err := json.Unmarshal(data, &question); err != nil || question.RunID != 17 || !question.WithoutEmail {
			return "a bad question", service.CodeBadRequest
		}
		candidates := map[string][]operatorapi.DeletionCandidate{
			"restored": {{VomoID: "1", State: "restored"}},
			"deleted": {
				{VomoID: "2", State: "deleted", Code: new("source_not_found")}, {VomoID: "3", State: "deleted", Code: new("source_forbidden")},
				{VomoID: "4", State: "deleted"},
			},
		}[question.State]
		if asked++; asked == 1 {
			candidates = []operatorapi.DeletionCandidate{{VomoID: "1", State: "undo"}}
		}
		return operatorapi.DeletionShown{DeletionRun: heldRun(), Candidates: candidates}, noCode
	})
	got := f.run("deletions", "undo", "acme", "1", "2", "3", "9")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, strings.Join([]string{
		"Not deleted by a scan within the last 7 days: 9", "1 user restored.", "VOMO does not have them either, so nothing changed: 2",
		"No clear answer, so nothing changed: 3", "",
	}, "\n"), got.stdout)
	require.Len(t, f.waits, 1)
	require.Equal(t, []string{"1"}, document[undone](t, f.run("deletions", "undo", "acme", "--run", "17", "--json")).Restored)
	require.Contains(t, f.run("deletions", "undo", "acme", "1", "--no-wait").stdout, "3 users of acme are read again")
}
