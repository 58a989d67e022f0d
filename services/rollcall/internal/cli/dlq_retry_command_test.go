package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// letterService stands in for dlqretry: it has count letters, and handles them in batches.
type letterService struct {
	count, batch int
	left         []operatorapi.LetterLeft // with the first batch
	asked        []operatorapi.LettersCommand
	onBatch      func(n int)
}

func (s *letterService) on(t *testing.T, f *fixture) {
	t.Helper()
	f.answers("letters", "count", func(_ int, data []byte) (any, string) {
		command := decoded[operatorapi.LettersCommand](t, data)
		plan := operatorapi.LettersPlanned{First: []operatorapi.Letter{}, Left: []operatorapi.LetterLeft{}, AsOf: testTime, Count: int64(s.count)}
		if len(command.IDs) > 0 {
			plan.Count, plan.Left = int64(len(command.IDs)-len(s.left)), s.left
		}
		for n := 1; n <= min(int(plan.Count), 10); n++ {
			plan.First = append(plan.First, letterNo(n))
		}
		return plan, noCode
	})
	for _, verb := range []string{"retry", "discard"} {
		f.answers("letters", verb, func(n int, data []byte) (any, string) {
			command := decoded[operatorapi.LettersCommand](t, data)
			s.asked = append(s.asked, command)
			if s.onBatch != nil {
				s.onBatch(n)
			}
			if len(command.IDs) > 0 {
				return operatorapi.LettersDone{Done: int64(len(command.IDs) - len(s.left)), Left: s.left, AsOf: testTime}, noCode
			}
			taken := min(s.batch, s.count-(n-1)*s.batch)
			done := operatorapi.LettersDone{Matched: int64(taken), Done: int64(taken), Left: []operatorapi.LetterLeft{}, AsOf: testTime}
			if n == 1 {
				done.Done, done.Left = done.Done-int64(len(s.left)), s.left
			}
			if n*s.batch < s.count {
				done.Next = new(fmt.Sprintf("%d.x", n))
			}
			return done, noCode
		})
	}
}

func TestRetryByIDAsksForNoConfirmation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &letterService{}
	s.on(t, f)
	got := f.run("dlq", "retry", "00000001", "--id", "00000002-0000-4000-8000-000000000000", "--customer", "acme")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "2 letters retried; users' are due now and worked in their customer's turn, messages are published again\n", got.stdout)
	require.Len(t, s.asked, 1)
	require.Equal(t, []string{"00000002-0000-4000-8000-000000000000", "00000001"}, s.asked[0].IDs)
	require.Equal(t, "acme", s.asked[0].CustomerID)
	require.False(t, s.asked[0].AllMatching)
}

func TestInvalidLetterCommandsAreUsageErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t) // no service is asked
	for _, call := range []struct{ args, want string }{
		{"retry", "say which letters by their ids"},
		{"retry acme", `"acme" is no letter's id, of which at least the first 8 characters are needed; --all-matching`},
		{"retry 1f0c9a72 --all-matching", `there is no terminal`}, // it may also be a customer's id
		{"retry --id 1f0c9a72 --all-matching", "exclude one another"},
		{"retry acme globex --all-matching", "one customer at most"},
		{"retry 1f0c9a72 --kind user", "a filter goes with --all-matching"},
		{"retry acme --all-matching --state settled --force", "a settled letter is settled"},
		{"retry acme --all-matching", "--force retries without asking"},
		{"discard 1f0c9a72", "there is no terminal to ask on: --force discards without asking"},
		{"discard acme --all-matching --force --record=", "--record is empty"},
		{"discard 1f0c9a72 --force --note " + strings.Repeat("x", 501), "--note takes at most 500 bytes, and this one has 501"},
	} {
		got := f.run(append([]string{"dlq"}, strings.Fields(call.args)...)...)
		require.Equal(t, exitUsage, got.code, call.args)
		require.Contains(t, got.stderr, call.want, call.args)
	}
}

func TestLargeFilterIsHandledInBatchesThatContinueAtTheCursor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &letterService{count: 12_300, batch: 500}
	s.on(t, f)
	got := f.run("dlq", "discard", "acme", "--all-matching", "--error-code", "http_422", "--force", "--note", "gone")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "12,300 letters discarded\n", got.stdout)
	require.Equal(t, "5,000 of 12,300 letters discarded\n10,000 of 12,300 letters discarded\n", got.stderr)
	require.Len(t, s.asked, 25)
	for n, command := range s.asked {
		require.Equal(t, "http_422", command.ErrorCode)
		require.Equal(t, "gone", command.Note)
		require.True(t, command.AllMatching)
		require.Equal(t, testTime, *command.AsOf, "what came after it was counted is left alone")
		if n > 0 {
			require.Equal(t, fmt.Sprintf("%d.x", n), command.Before)
		}
	}
}

func TestRetryOnATerminalShowsABar(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.StderrTerminal = true
	s := &letterService{count: 1200, batch: 500}
	s.on(t, f)
	got := f.run("dlq", "retry", "--all-matching", "--force")
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, "500/1200")
	require.Contains(t, got.stderr, "letters retried")
}

func TestDryRunPrintsLettersAndChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &letterService{count: 12, batch: 500}
	s.on(t, f)
	for _, verb := range []string{"retry", "discard"} {
		got := f.run("dlq", verb, "acme", "--all-matching", "--dry-run")
		require.Zero(t, got.code, got.stderr)
		require.Contains(t, got.stdout, "12 letters would be "+past(verb)+"\n")
		require.Contains(t, got.stdout, "00000001")
		require.Contains(t, got.stderr, "and 2 more")
		asJSON := document[lettersDocument](t, f.run("dlq", verb, "acme", "--all-matching", "--dry-run", "--json"))
		require.Equal(t, int64(12), asJSON.Count)
		require.True(t, asJSON.DryRun)
		require.Len(t, asJSON.First, 10)
	}
	require.Empty(t, s.asked)
}

func TestFilterWithoutMatchesIsNoError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &letterService{}
	s.on(t, f)
	require.Equal(t, result{stdout: "Nothing to retry: no open letter matches.\n"}, f.run("dlq", "retry", "acme", "--all-matching", "--force"))
	require.Empty(t, s.asked)
}

func TestDiscardOnATerminalAsksForTheCustomerOrAll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &letterService{count: 12, batch: 500}
	s.on(t, f)
	f.process.StdinTerminal = true
	f.process.Stdin = strings.NewReader(strings.Join([]string{"y", "acme", "", "all", "acme", ""}, "\n"))
	refused := f.run("dlq", "retry", "acme", "--all-matching")
	require.Equal(t, exitFailed, refused.code)
	require.Contains(t, refused.stderr, "12 letters of acme will be retried. Type acme to go on: ")
	require.Contains(t, refused.stderr, "nothing was retried")
	require.Empty(t, s.asked)
	require.Zero(t, f.run("dlq", "retry", "acme", "--all-matching").code)
	require.Len(t, s.asked, 1)

	notAll := f.run("dlq", "discard", "--all-matching") // 12 letters, of which ten are shown: whose the others are is not known
	require.Equal(t, exitFailed, notAll.code)
	require.Contains(t, notAll.stderr, "12 letters of all customers will be discarded. This cannot be taken back. Type all to go on: ")
	require.Zero(t, f.run("dlq", "discard", "--all-matching").code)
	require.Zero(t, f.run("dlq", "discard", "00000001").code, "letters of one customer are confirmed by its name")
}

func TestUnchangedNamedLettersAreListedAndDoNotStopTheRest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &letterService{left: []operatorapi.LetterLeft{
		{ID: "00000003-0000-4000-8000-000000000000", CustomerID: "acme", Kind: "user", RecordID: "8203", Reason: operatorapi.LeftSettled},
		{ID: "00000004", Reason: operatorapi.LeftAmbiguous, IDs: []string{"00000004-1", "00000004-2"}},
	}}
	s.on(t, f)
	got := f.run("dlq", "retry", "00000001", "00000003", "00000004")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stdout, "1 letter retried")
	require.Contains(t, got.stderr, "letter 00000003-0000-4000-8000-000000000000 (acme, user 8203) left: it is settled already; nothing has to be done")
	require.Contains(t, got.stderr, "letter 00000004 left: several letters' ids begin with it 00000004-1 00000004-2; give more")
	require.Contains(t, got.stderr, "2 named letters left as they were")
	asJSON := f.run("dlq", "retry", "00000001", "00000003", "00000004", "--json")
	require.Equal(t, exitFailed, asJSON.code)
	require.Equal(t, lettersDocument{Action: "retry", Count: 1, Done: 1, Left: s.left, Complete: true}, document[lettersDocument](t, asJSON))
}

func TestLettersThatCannotBeRetriedDoNotFailAFilter(t *testing.T) {
	t.Parallel()
	for reason, code := range map[string]int{
		operatorapi.LeftUnreadable: exitDone, operatorapi.LeftUnknownCustomer: exitDone, operatorapi.LeftOffboarded: exitDone,
		operatorapi.LeftInHand: exitFailed, operatorapi.LeftRedriveError: exitFailed,
	} {
		f := newFixture(t)
		s := &letterService{count: 3, batch: 500, left: []operatorapi.LetterLeft{{ID: "x", CustomerID: "acme", Kind: "user", Reason: reason}}}
		s.on(t, f)
		got := f.run("dlq", "retry", "acme", "--all-matching", "--force")
		require.Equal(t, code, got.code, reason)
		require.Contains(t, got.stdout, "2 letters retried")
		text, remedy := operatorapi.ExplainLeft(reason)
		require.Contains(t, got.stderr, text+"; "+remedy)
	}
}

func TestStoppedLetterCommandPrintsItsProgress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &letterService{count: 2000, batch: 500, onBatch: func(n int) {
		if n == 3 {
			cancel()
		}
	}}
	s.on(t, f)
	got := f.runWith(ctx, "dlq", "retry", "--all-matching", "--force", "--json")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "stopped after 1,000 of 2,000; running the same command again does the rest: interrupted")
	done := document[lettersDocument](t, got)
	require.Equal(t, int64(1000), done.Done)
	require.False(t, done.Complete)
}

func TestServiceErrorBetweenBatchesPrintsTheProgress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("letters", "count", always(operatorapi.LettersPlanned{Count: 600, AsOf: testTime}))
	f.answers("letters", "discard", func(n int, _ []byte) (any, string) {
		if n > 1 {
			return "internal error; the service's log says more", service.CodeInternal
		}
		return operatorapi.LettersDone{Done: 500, Next: new("1.x")}, noCode
	})
	got := f.run("dlq", "discard", "--all-matching", "--force")
	require.Equal(t, exitFailed, got.code)
	require.Equal(t, "500 letters discarded\n", got.stdout)
	require.Contains(t, got.stderr, "stopped after 500 of 600")
}
