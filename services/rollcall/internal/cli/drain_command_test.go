package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// drainService stands in for dlqretry: each answer about the drain has ten letters more, and the last is in the state that it ends in.
type drainService struct {
	ends  string
	start operatorapi.DrainStart
}

func (s *drainService) on(t *testing.T, f *fixture) {
	t.Helper()
	(&letterService{count: 30}).on(t, f)
	drain := operatorapi.Drain{
		ID: 7, CustomerID: new("acme"), Verb: "retry", State: operatorapi.DrainRunning, AskedBy: "ana@ops-1", Planned: 30, CreatedAt: testTime,
	}
	f.answers("drains", "start", func(_ int, data []byte) (any, string) {
		s.start = decoded[operatorapi.DrainStart](t, data)
		return drain, noCode
	})
	f.answers("drains", "show", func(n int, data []byte) (any, string) {
		question := decoded[operatorapi.DrainQuestion](t, data)
		if question.ID != 7 {
			return "not found", service.CodeNotFound
		}
		shown := operatorapi.DrainShown{Drain: drain, Items: []operatorapi.DrainItem{{
			LetterID: letterNo(n).ID, CustomerID: "acme", Outcome: "left", Text: new("a job has it in hand"), At: testTime,
		}}}
		shown.Done = int64(10 * n)
		shown.Remaining, shown.EtaLowSeconds, shown.EtaHighSeconds = 30-shown.Done, new(int64(60)), new(int64(120))
		if n == 3 {
			shown.State, shown.EtaLowSeconds = s.ends, nil
		}
		return shown, noCode
	})
}

func TestDrainIsStartedAndWatchedToItsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &drainService{ends: operatorapi.DrainDone}
	s.on(t, f)
	got := f.run("drain", "start", "acme", "--error-code", "http_422", "--pace", "60", "--force")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, []string{
		"drain 7 running: 10 of 30 letters retried, 1m to 2m left", "drain 7 running: 20 of 30 letters retried, 1m to 2m left",
		"drain 7 done: 30 of 30 letters retried",
	}, strings.Split(strings.TrimSpace(got.stdout), "\n"))
	require.Equal(t, operatorapi.DrainStart{
		LettersFilter: operatorapi.LettersFilter{CustomerID: "acme", ErrorCode: "http_422", AsOf: &testTime}, Verb: "retry", PacePerMinute: 60,
	}, s.start)
}

func TestDetachedDrainIsNotWatched(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &drainService{}
	s.on(t, f)
	got := f.run("drain", "start", "--older-than", "30d", "--discard", "--note", "agreed", "--detach", "--force", "--json")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, int64(7), document[operatorapi.Drain](t, got).ID)
	require.Equal(t, "discard", s.start.Verb)
	require.Equal(t, "agreed", s.start.Note)
	require.Empty(t, f.waits)
}

func TestInterruptedDrainGoesOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	(&drainService{ends: operatorapi.DrainDone}).on(t, f)
	ctx, stop := context.WithCancel(t.Context())
	f.onWait = func(int) { stop() }
	got := f.runWith(ctx, "drain", "start", "acme", "--force")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "drain 7 goes on by itself, rollcall drain abort 7 ends it")
}

func TestAbortedDrainIsExitStatusOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	(&drainService{ends: operatorapi.DrainAborted}).on(t, f)
	got := f.run("drain", "start", "acme", "--force")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "drain 7 was aborted after 30 letters")
}

func TestDryRunOfADrainStartsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &drainService{}
	s.on(t, f)
	got := f.run("drain", "start", "acme", "--dry-run")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "30 letters would be retried")
	require.Empty(t, s.start.Verb)
}

func TestInvalidDrainsAreUsageErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t) // no service is asked
	for _, call := range []struct{ args, want string }{
		{"start --force", "--customer is needed, or another condition: an empty filter would mean all letters"},
		{"start --state open --force", "--customer is needed"},
		{"start acme", "--force retries without asking"},
		{"start acme --force --id 1f0c9a72", "--id is not for a drain"},
		{"start acme --force --note x", "--note goes with --discard"},
		{"start acme --force --pace 0", "--pace takes 1 or more"},
		{"start acme --force --pace 100001", "--pace takes 1 to 100000"},
		{"start acme --force --state settled", "--state takes open, waiting, review"},
		{"", "say which: drain start"},
		{"show acme", `"acme" is no drain`},
	} {
		got := f.run(append([]string{"drain"}, strings.Fields(call.args)...)...)
		require.Equal(t, exitUsage, got.code, call.args)
		require.Contains(t, got.stderr, call.want, call.args)
	}
}

func TestDrainsAreListedShownAndAborted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	(&drainService{ends: operatorapi.DrainDone}).on(t, f)
	var asked operatorapi.DrainsQuestion
	f.answers("drains", "ls", func(_ int, data []byte) (any, string) {
		asked = decoded[operatorapi.DrainsQuestion](t, data)
		return operatorapi.DrainsReply{Drains: []operatorapi.Drain{{
			ID: 7, Verb: "retry", State: "done", Done: 1200, Left: 3, Planned: 1203, PacePerMinute: new(int32(60)), AskedBy: "ana@ops-1", CreatedAt: testTime,
		}}}, noCode
	})
	f.answers("drains", "abort", func(_ int, data []byte) (any, string) {
		if decoded[operatorapi.DrainCommand](t, data).ID != 7 {
			return "drain 8 has ended already", service.CodeConflict
		}
		return operatorapi.Drain{ID: 7, Verb: "discard", State: "aborted", Done: 10, Planned: 30, Remaining: 20}, noCode
	})
	got := f.run("drain", "ls", "--customer", "acme")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "acme", asked.CustomerID)
	require.Regexp(t, `(?m)^7 +all +retry +done +1,200 +3 +1,203 +60 +ana@ops-1`, got.stdout)
	require.Equal(t, "drain 7 aborted: 10 of 30 letters discarded\n", f.run("drain", "abort", "7").stdout)
	require.Contains(t, f.run("drain", "abort", "8").stderr, "drain 8 has ended already")
	require.Contains(t, f.run("drain", "show", "7").stdout, "a job has it in hand")
	require.Len(t, document[operatorapi.DrainShown](t, f.run("drain", "show", "7", "--json")).Items, 1)
	require.Zero(t, f.run("drain", "watch", "7").code)
	require.Contains(t, f.run("drain", "show", "9").stderr, "drain 9 is not known")
}
