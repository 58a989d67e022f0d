package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// letterNo returns the nth letter; lower numbers are newer.
func letterNo(n int) operatorapi.Letter {
	return operatorapi.Letter{
		ID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", n), CustomerID: "acme", Kind: "user", RecordID: new(fmt.Sprintf("82%02d", n)),
		ErrorCode: "http_422", ErrorClass: "permanent", State: "review", Attempts: 1, FirstFailedAt: testTime, LastFailedAt: testTime,
		AgeSeconds: 3 * 3600, Job: "user_sync_poll",
	}
}

// decoded decodes a question and fails the test if it cannot.
func decoded[T any](t *testing.T, data []byte) T {
	t.Helper()
	var question T
	if err := json.Unmarshal(data, &question); err != nil {
		t.Errorf("a bad question: %s", data)
	}
	return question
}

// manyLetters answers like the service: newest first, in pages of the requested size.
func manyLetters(t *testing.T, count int) func(int, []byte) (any, string) {
	t.Helper()
	return func(n int, data []byte) (any, string) {
		question := decoded[operatorapi.LettersQuestion](t, data)
		if question.Limit < 1 || question.Limit > operatorapi.MaxLetters || (n > 1) != (question.AsOf != nil) {
			return "a bad question", service.CodeBadRequest
		}
		page := operatorapi.LettersReply{Letters: []operatorapi.Letter{}, AsOf: testTime.Add(3 * time.Hour)}
		for i := 1; i <= count && len(page.Letters) < int(question.Limit); i++ {
			letter := letterNo(i)
			if letter.ID <= question.Before {
				continue
			}
			page.Letters = append(page.Letters, letter)
			if page.Next = &letter.ID; i == count {
				page.Next = nil
			}
		}
		return page, noCode
	}
}

func TestLettersAreListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("letters", "ls", manyLetters(t, 450))
	all := document[operatorapi.LettersReply](t, f.run("dlq", "ls", "--all", "--json"))
	require.Len(t, all.Letters, 450)
	require.Nil(t, all.Next)
}

func TestLetterIsOneLineOfTheList(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("letters", "ls", manyLetters(t, 3))
	got := f.run("dlq", "ls", "acme", "--limit", "1")
	require.Zero(t, got.code, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^ID +CUSTOMER +KIND +RECORD +ERROR +CLASS +ATTEMPTS +AGE +STATE +JOB$`, lines[0])
	require.Regexp(t, `^00000001 +acme +user +8201 +http_422 +permanent +1 +3h00m +review +user_sync_poll$`, lines[1])
	require.Contains(t, got.stderr, "--all")
}

func TestShortIDsAreLongEnoughToTellLettersApart(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"aaaaaaaa-bb1", "cccccccc", "aaaaaaaa-bb2"}, shortIDs([]operatorapi.Letter{
		{ID: "aaaaaaaa-bb11-4000-8000-000000000000"}, {ID: "cccccccc-0000-4000-8000-000000000000"}, {ID: "aaaaaaaa-bb22-4000-8000-000000000000"},
	}))
}

func TestLetterStateSaysWhenTheLetterIsRetried(t *testing.T) {
	t.Parallel()
	for want, letter := range map[string]operatorapi.Letter{
		"waiting, in 12m":    {State: "waiting", NextAttemptAt: new(testTime.Add(12 * time.Minute))},
		"waiting, due now":   {State: "waiting", NextAttemptAt: &testTime},
		"review":             {State: "review"},
		"settled, discarded": {State: "settled", SettledHow: new("discarded")},
	} {
		require.Equal(t, want, letterState(letter, testTime))
	}
}

func TestEveryFilterReachesTheService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var asked operatorapi.LettersQuestion
	f.answers("letters", "ls", func(_ int, data []byte) (any, string) {
		asked = decoded[operatorapi.LettersQuestion](t, data)
		return operatorapi.LettersReply{Letters: []operatorapi.Letter{}}, noCode
	})
	got := f.run("dlq", "ls", "_unknown", "--kind", "message", "--state", "review", "--error-code", "too_many_deliveries", "--class", "permanent",
		"--older-than", "1d12h", "--newer-than", "2w", "--record", "8205", "--text", "Onboarding", "--id", "1f0c9a72,77d01be3-1")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, operatorapi.LettersFilter{
		CustomerID: "_unknown", Kind: "message", State: "review", ErrorCode: "too_many_deliveries", ErrorClass: "permanent",
		OlderThanSeconds: 36 * 3600, NewerThanSeconds: 14 * 24 * 3600, RecordID: "8205", Text: "Onboarding", IDs: []string{"1f0c9a72", "77d01be3-1"},
	}, asked.LettersFilter)
}

func TestInvalidFilterNamesTheFlagAndTheRemedy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, call := range []struct{ args, want string }{
		{"--kind person", "--kind takes user, user_delete, message"},
		{"--state lost", "--state takes open, waiting, review, settled, all"},
		{"--class odd", "--class takes retryable, permanent"},
		{"--older-than soon", "--older-than takes an age such as 90m, 2h, 3d or 1w"},
		{"--newer-than 0h", "--newer-than takes an age"},
		{"--older-than 3d --newer-than 2h", "--newer-than takes an age above"},
		{"--id 1f0c", "--id takes a letter's id, or at least its first 8 characters"},
		{"--customer ACME", "--customer takes a customer id"},
		{"ACME", `"ACME" is no customer`},
		{"acme --customer globex", "two customers are named"},
		{"--record=", "--record is empty"},
		{"--limit 0", "--limit must be 1 or more"},
		{"--text " + strings.Repeat("x", 201), "--text takes a text of at most 200 bytes"},
	} {
		got := f.run(append([]string{"dlq", "ls"}, strings.Fields(call.args)...)...)
		require.Equal(t, exitUsage, got.code, call.args)
		require.Contains(t, got.stderr, call.want)
	}
}

func TestLettersOfAnUnknownCustomerAreExitStatusOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, verb := range []string{"ls", "show", "count", "export"} {
		f.answers("letters", verb, unknown)
	}
	for _, args := range [][]string{{"ls", "globex"}, {"export", "globex"}, {"retry", "globex", "--all-matching", "--force"}} {
		require.Equal(t, unknownGlobex(), f.run(append([]string{"dlq"}, args...)...), args)
	}
	got := f.run("dlq", "show", "1f0c9a72")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, `letter "1f0c9a72" is not known`)
	require.Equal(t, exitUsage, f.run("dlq", "show", "1f0c").code)
	require.Equal(t, exitUsage, f.run("dlq", "show", "1f0c9a72", "--secrets").code)
}

func TestMissingLetterServiceIsNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.run("dlq", "ls")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "no service answers rollcall.api.letters.ls: is the dlqretry service running")
}
