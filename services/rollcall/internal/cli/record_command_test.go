package cli

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/service"
)

// traced is an answer about one gift with a cause.
func traced(cause record.Cause) operatorapi.TraceReply {
	return operatorapi.TraceReply{CustomerID: "acme", Kind: "gift", RecordID: "don-1", Traces: []operatorapi.Trace{{
		FoundAs: new(operatorapi.FoundAsDonation), PlatformRecordID: new("don-1"), State: new("submitted"),
		Lookup: &operatorapi.TraceLookup{Outcome: operatorapi.LookupFound, ChangedFields: []string{}, At: &testTime},
		Timeline: []operatorapi.TraceHop{
			{At: testTime, Hop: "captured", Text: "the donation was captured"},
			{At: testTime, Hop: "attempt", Text: "sent: Virtuous accepted it", Status: new(200), RequestID: new("r-17")},
		},
		Cause: record.Explain(cause, map[string]string{"customer": "acme", "kind": "gift", "id": "don-1", "gift": "901"}),
	}}}
}

func TestRecordPrintsTheTimelineTheCauseAndTheNextAction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("record", "show", func(_ int, data []byte) (any, string) {
		var asked operatorapi.TraceQuestion
		if err := json.Unmarshal(data, &asked); err != nil || asked.Kind != "gift" || asked.RecordID != "don-1" {
			return "a bad question", service.CodeBadRequest
		}
		if asked.CustomerID == "globex" {
			return unknown(0, nil)
		}
		return traced(record.MissedWebhook), noCode
	})
	f.answers("record", "fix", always(traced(record.Confirmed)))
	got := f.run("record", "acme", "gift", "don-1")
	require.Equal(t, exitFailed, got.code)
	require.Regexp(t, `(?s)gift don-1 +is the platform's id of a donation.*state +submitted.*lookup +Virtuous has it
.*timeline
  2026-11-20 08:00:00 UTC +captured +the donation was captured
  2026-11-20 08:00:00 UTC +attempt +sent: Virtuous accepted it \(status 200, request r-17\)
.*cause +missed_webhook \(act\).*next
  Apply it here.
  rollcall record acme gift don-1 --fix
`, got.stdout)
	require.Contains(t, got.stderr, "missed_webhook")
	fixed := f.run("record", "acme", "gift", "don-1", "--fix", "--json")
	require.Zero(t, fixed.code, fixed.stderr)
	require.Equal(t, "confirmed", document[operatorapi.TraceReply](t, fixed).Traces[0].Cause.Code)
	require.Equal(t, unknownGlobex(), f.run("record", "globex", "gift", "don-1"))
	require.Equal(t, exitUsage, f.run("record", "acme", "pledge", "1").code)
	require.Equal(t, exitUsage, f.run("record", "acme", "gift").code)
}

func TestRecordOfAUserIsFixedByAResync(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	missing, there := traced(record.UserUnknown), traced(record.UserMirrored)
	f.answers("users", "show", inTurn(missing, missing, there))
	f.answers("users", "resync", always(operatorapi.Resync{CustomerID: "acme", VomoID: "4101", Outcome: operatorapi.ResyncWritten, UpdatedAt: &testTime}))
	require.Equal(t, exitFailed, f.run("record", "acme", "user", "4101").code)
	got := f.run("record", "acme", "user", "4101", "--fix")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "fixed\n  written, as of 2026-11-20 08:00:00 UTC")
}

// A command that an operator copies at night must be one that the program has, with flags and a number of arguments that it takes.
func TestCommandsOfCausesExist(t *testing.T) {
	t.Parallel()
	for _, of := range []struct{ kind, record string }{{"gift", "donation"}, {"contact", "contact"}} {
		values := map[string]string{
			"customer": "acme", "kind": of.kind, "record": of.record, "id": "don-1", "gift": "901", "contact": "55", "letter": "1f0c9a72", "run": "7",
			"why": "x", "imports": "",
		}
		for _, cause := range record.Causes() {
			explained := record.Explain(cause, values)
			if explained.Command != nil {
				requireCommand(t, *explained.Command)
			}
			for _, named := range commandInNext.FindAllString(explained.Next, -1) {
				requireCommand(t, named)
			}
		}
	}
}

// requireCommand requires that the program accepts a command line.
func requireCommand(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	require.Equal(t, "rollcall", words[0], line)
	command, rest, err := (&app{}).root().Find(words[1:])
	require.NoError(t, err, line)
	require.NotNil(t, command.RunE, line)
	require.NoError(t, command.ParseFlags(rest), line)
	if command.Args != nil {
		require.NoError(t, command.Args(command, command.Flags().Args()), line)
	}
	require.False(t, isGroup(command), "%s is no command by itself", line)
}

// commandInNext finds the command lines that the next action of a cause names: up to the end of a clause.
var commandInNext = regexp.MustCompile(`rollcall [^.,:]+`)

func isGroup(command *cobra.Command) bool { return command.HasSubCommands() }

func TestRemediesAboutMissingRecordsNameTheRunbook(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		event.AlertGivingPendingAge, event.AlertImportNotRun, event.AlertWebhookSilent, event.ConditionDonationsFailed, event.ConditionDonationsNeedReview,
	} {
		_, remedy := event.ExplainFor("acme", code)
		require.Contains(t, remedy, "rollcall record acme gift <id> (docs/giving.md#where-is-my-record)", code)
	}
}
