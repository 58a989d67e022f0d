package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
)

// listedActs answers audit.ls, and keeps the last question.
func listedActs(t *testing.T, asked *operatorapi.ActsQuestion) func(int, []byte) (any, string) {
	t.Helper()
	return func(_ int, question []byte) (any, string) {
		*asked = operatorapi.ActsQuestion{}
		if err := json.Unmarshal(question, asked); err != nil {
			return err.Error(), "400"
		}
		return operatorapi.ActsReply{Acts: []operatorapi.Act{
			{
				ID: 7, At: testTime, Operator: new("ana@ops-1"), NATSUser: new("OPS/ana"), Via: "api", Verb: "letters.retry", CustomerID: new("acme"),
				Filter: json.RawMessage(`{"customerId":"acme","errorCode":"http_422"}`), Outcome: "done", Result: json.RawMessage(`{"done":3}`),
			},
			{ID: 6, At: testTime, Via: "api", Verb: "config.set", Filter: json.RawMessage(`{}`), Outcome: "begun", Result: json.RawMessage(`null`)},
		}}, noCode
	}
}

func TestAuditListsWhoDidWhat(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var asked operatorapi.ActsQuestion
	f.answers("audit", "ls", listedActs(t, &asked))
	got := f.run("audit", "ls", "acme", "--since", "2026-03-01T00:00:00+01:00", "--verb", "letters", "--by", "ana@ops-1")
	require.Zero(t, got.code, got.stderr)
	since := time.Date(2026, 2, 28, 23, 0, 0, 0, time.UTC)
	require.Equal(t, operatorapi.ActsQuestion{CustomerID: "acme", Verb: "letters", Operator: "ana@ops-1", Since: &since, Limit: 50}, asked)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `ana@ops-1 \(OPS/ana\) +api +letters.retry +acme +done +errorCode=http_422 +done=3$`, lines[1])
	require.Regexp(t, ` - +api +config.set +- +begun, its end was not noted +- +-$`, lines[2])
	require.Len(t, document[operatorapi.ActsReply](t, f.run("audit", "ls", "--customer", "acme", "--json")).Acts, 2)
	for _, args := range [][]string{{"audit", "ls", "--since", "soon"}, {"audit", "ls", "acme", "--customer", "globex"}, {"audit"}} {
		require.Equal(t, exitUsage, f.run(args...).code, args)
	}
}

func TestCommandsSayWhoRunsThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	f.process.Login = "ana@laptop"
	sent := func(sequence uint64, args ...string) string {
		t.Helper()
		got := f.run(append(args, "offboard", "acme", "--force")...)
		require.Zero(t, got.code, got.stderr)
		return f.message(stream, sequence).Header.Get("Rollcall-Operator")
	}
	require.Equal(t, "ana@laptop", sent(1))
	f.process.Environ = append(f.process.Environ, "ROLLCALL_OPERATOR=night shift")
	require.Equal(t, "night shift", sent(2))
	require.Equal(t, "bo", sent(3, "--operator", "bo\n"))
}

func TestReconciliationOfAnUnknownCategoryIsAUsageError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.run("reconcile", "now", "acme", "--category", "weekly")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, `--category takes user_daily, user_deletions, participations, stuck, needs_update, missed_webhook, contact_changes, `+
		`gift_deletions, drift, report, not "weekly"`)
}
