package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

// letterNo is one of many letters, the lower the newer.
func letterNo(n int) report.Letter {
	return report.Letter{
		ID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", n), CustomerID: "acme", Kind: "user", RecordID: new(fmt.Sprintf("82%02d", n)),
		ErrorCode: "http_422", ErrorClass: "permanent", State: "review", Attempts: 1, FirstFailedAt: moment1, LastFailedAt: moment1,
		AgeSeconds: 3 * 3600, Job: "user_sync_poll",
	}
}

// decoded reads a question, which must be one of its kind.
func decoded[T any](t *testing.T, data []byte) T {
	t.Helper()
	var question T
	if err := json.Unmarshal(data, &question); err != nil {
		t.Errorf("a bad question: %s", data)
	}
	return question
}

// manyLetters answers like the service: newest first, in pages of what was asked for.
func manyLetters(t *testing.T, count int) func(int, []byte) (any, string) {
	t.Helper()
	return func(n int, data []byte) (any, string) {
		question := decoded[report.LettersQuestion](t, data)
		if question.Limit < 1 || question.Limit > report.MaxLetters || (n > 1) != (question.AsOf != nil) {
			return "a bad question", service.CodeBadRequest
		}
		page := report.LettersReply{Letters: []report.Letter{}, AsOf: moment1.Add(3 * time.Hour)}
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
	i := newInstallation(t)
	i.answers("letters", "ls", manyLetters(t, 450))
	all := document[report.LettersReply](t, i.run("dlq", "ls", "--all", "--json"))
	require.Len(t, all.Letters, 450)
	require.Nil(t, all.Next)
}

func TestALetterIsOneLineOfTheList(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("letters", "ls", manyLetters(t, 3))
	got := i.run("dlq", "ls", "acme", "--limit", "1")
	require.Zero(t, got.code, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^ID +CUSTOMER +KIND +RECORD +ERROR +CLASS +ATTEMPTS +AGE +STATE +JOB$`, lines[0])
	require.Regexp(t, `^00000001 +acme +user +8201 +http_422 +permanent +1 +3h00m +review +user_sync_poll$`, lines[1])
	require.Contains(t, got.stderr, "--all")
}

func TestShortIDsAreLongEnoughToTellLettersApart(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"aaaaaaaa-bb1", "cccccccc", "aaaaaaaa-bb2"}, shortIDs([]report.Letter{
		{ID: "aaaaaaaa-bb11-4000-8000-000000000000"}, {ID: "cccccccc-0000-4000-8000-000000000000"}, {ID: "aaaaaaaa-bb22-4000-8000-000000000000"},
	}))
}

func TestAStateSaysWhenALetterIsTriedAgain(t *testing.T) {
	t.Parallel()
	for want, letter := range map[string]report.Letter{
		"waiting, in 12m":    {State: "waiting", NextAttemptAt: new(moment1.Add(12 * time.Minute))},
		"waiting, due now":   {State: "waiting", NextAttemptAt: &moment1},
		"review":             {State: "review"},
		"settled, discarded": {State: "settled", SettledHow: new("discarded")},
	} {
		require.Equal(t, want, standingOf(letter, moment1))
	}
}

func TestEveryFilterReachesTheService(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	var asked report.LettersQuestion
	i.answers("letters", "ls", func(_ int, data []byte) (any, string) {
		asked = decoded[report.LettersQuestion](t, data)
		return report.LettersReply{Letters: []report.Letter{}}, noCode
	})
	got := i.run("dlq", "ls", "_unknown", "--kind", "message", "--state", "review", "--error-code", "too_many_deliveries", "--class", "permanent",
		"--older-than", "1d12h", "--newer-than", "2w", "--record", "8205", "--text", "Onboarding", "--id", "1f0c9a72,77d01be3-1")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, report.LettersFilter{
		CustomerID: "_unknown", Kind: "message", State: "review", ErrorCode: "too_many_deliveries", ErrorClass: "permanent",
		OlderThanSeconds: 36 * 3600, NewerThanSeconds: 14 * 24 * 3600, RecordID: "8205", Text: "Onboarding", IDs: []string{"1f0c9a72", "77d01be3-1"},
	}, asked.LettersFilter)
}

func TestAFilterThatCannotBeNamesTheFlagAndTheRemedy(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for _, call := range []struct{ args, want string }{
		{"--kind person", "--kind takes user, message"},
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
		got := i.run(append([]string{"dlq", "ls"}, strings.Fields(call.args)...)...)
		require.Equal(t, exitUsage, got.code, call.args)
		require.Contains(t, got.stderr, call.want)
	}
}

func TestLettersOfNobodyKnownAreExitStatusOne(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for _, verb := range []string{"ls", "show", "count", "export"} {
		i.answers("letters", verb, unknown)
	}
	for _, args := range [][]string{{"ls", "globex"}, {"export", "globex"}, {"retry", "globex", "--all-matching", "--force"}} {
		require.Equal(t, globexUnknown(), i.run(append([]string{"dlq"}, args...)...), args)
	}
	got := i.run("dlq", "show", "1f0c9a72")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, `letter "1f0c9a72" is not known`)
	require.Equal(t, exitUsage, i.run("dlq", "show", "1f0c").code)
	require.Equal(t, exitUsage, i.run("dlq", "show", "1f0c9a72", "--secrets").code)
}

func TestNobodyWhoAnswersForLettersIsNamed(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	got := i.run("dlq", "ls")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "nobody answers rollcall.api.letters.ls: is the dlqretry service running")
}

func shownLetter() report.LetterShown {
	return report.LetterShown{
		LetterDetail: report.LetterDetail{
			Letter: letterNo(1), OriginalSubject: "rollcall.dlq.retry.user.acme", TraceID: new("00-trace-01"), SourceUpdatedAt: &moment1,
			History: []report.LetterAttempt{{At: moment1, Code: "destination_5xx", Job: "dlq_retry"}}, Text: "Refused.", Remedy: "Mend it.",
		},
		Standing:          &report.LetterStanding{SourceUpdatedAt: moment1.Add(time.Hour), SyncedAt: moment1.Add(2 * time.Hour), Compared: "newer"},
		DestinationAnswer: &destination.Answer{Status: 422, Text: "{\"message\":\"no such\u001b[31m role\"}"},
	}
}

func TestALetterIsShownWithItsAttemptsAndWhatHelps(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("letters", "show", always(shownLetter()))
	got := i.run("dlq", "show", "00000001")
	require.Zero(t, got.code, got.stderr)
	for _, want := range []string{
		`letter 00000001-0000-4000-8000-000000000000`, `record +8201`, `error +http_422 \(permanent\)`, `state +review`, `trace +00-trace-01`,
		`refused version +2026-11-20 08:00:00 UTC`, `in the destination +a newer version, of 2026-11-20 09:00:00 UTC, written 2026-11-20 10:00:00 UTC`,
		`2026-11-20 08:00:00 UTC +destination_5xx +dlq_retry`, `Refused.\n +Mend it.`,
		`the destination answered 422\n\{"message":"no such\\u001b\[31m role"\}`,
	} {
		require.Regexp(t, want, got.stdout)
	}
	shown := document[report.LetterShown](t, i.run("dlq", "show", "00000001", "--json"))
	require.Equal(t, shownLetter(), shown)
}

func TestAMessagesLetterSaysWhatWasWrongAndWhichLetterItGoesOnFrom(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	shown := shownLetter()
	shown.Kind, shown.Reason = "message", new("customerId: is not a text")
	shown.History = append(shown.History, report.LetterAttempt{At: moment1, Code: "request_invalid", Job: "user_sync_poll", LetterID: "77d01be3"})
	i.answers("letters", "show", always(shown))
	got := i.run("dlq", "show", "00000001")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `reason +customerId: is not a text\n`, got.stdout)
	require.Regexp(t, `request_invalid +user_sync_poll +of letter 77d01be3, published again\n`, got.stdout)
	require.Equal(t, shown, document[report.LetterShown](t, i.run("dlq", "show", "00000001", "--json")))
}

func TestAMessageIsPutTogetherFromItsPiecesAndDisarmed(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("letters", "show", always(shownLetter()))
	message := "{\"customerId\":\"acme\",\"vomoToken\":\"…\",\"odd\":\"\u009b31m\"}"
	i.answers("letters", "payload", func(_ int, data []byte) (any, string) {
		question := decoded[report.LetterPayloadQuestion](t, data)
		end := min(question.Offset+10, len(message))
		piece := report.LetterPayload{Format: report.PayloadJSON, Data: []byte(message[question.Offset:end]), Hidden: 1}
		if end < len(message) {
			piece.Next = &end
		}
		return piece, noCode
	})
	got := i.run("dlq", "show", "00000001", "--payload")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, `{"customerId":"acme","vomoToken":"…","odd":"\u009b31m"}`)
	require.Contains(t, got.stderr, "--secrets shows them")
	whole := document[map[string]any](t, i.run("dlq", "show", "00000001", "--payload", "--json"))
	require.Equal(t, map[string]any{"customerId": "acme", "vomoToken": "…", "odd": "\u009b31m"}, whole["payload"])
	require.InDelta(t, 1, whole["payloadHidden"], 0)
}

func TestBytesThatAreNoJSONAreShownInBase64(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("letters", "show", always(shownLetter()))
	i.answers("letters", "payload", func(_ int, data []byte) (any, string) {
		if !decoded[report.LetterPayloadQuestion](t, data).Secrets {
			return "it is no JSON: --secrets shows its bytes", service.CodeConflict
		}
		return report.LetterPayload{Format: report.PayloadBytes, Data: []byte{0, 1, 2}}, noCode
	})
	refused := i.run("dlq", "show", "00000001", "--payload")
	require.Equal(t, result{code: 1, stderr: "rollcall: it is no JSON: --secrets shows its bytes\n"}, refused)
	require.Contains(t, i.run("dlq", "show", "00000001", "--payload", "--secrets").stdout, "message, base64\nAAEC\n")
}

// exported has letters 1 to count exported in pages of two.
func (i *installation) exported(t *testing.T, count int) {
	t.Helper()
	i.answers("letters", "export", func(_ int, data []byte) (any, string) {
		question := decoded[report.LettersQuestion](t, data)
		page := report.LettersExport{Letters: []report.LetterDetail{}}
		for n := 1; n <= count && len(page.Letters) < 2; n++ {
			letter := report.LetterDetail{Letter: letterNo(n), OriginalSubject: "a,b", History: []report.LetterAttempt{}, HasPayload: true}
			if letter.ID <= question.Before {
				continue
			}
			page.Letters = append(page.Letters, letter)
			if page.Next = &letter.ID; n == count {
				page.Next = nil
			}
		}
		return page, noCode
	})
}

func TestAnExportIsOneDocumentALine(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.exported(t, 5)
	got := i.run("dlq", "export", "acme", "--state", "all")
	require.Zero(t, got.code, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 5)
	for n, line := range lines {
		require.Equal(t, letterNo(n+1).ID, decoded[report.LetterDetail](t, []byte(line)).ID)
	}
	require.Equal(t, exitUsage, i.run("dlq", "export", "--json").code)
}

func TestAnExportMayBeCSV(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.exported(t, 3)
	got := i.run("dlq", "export", "--csv")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 4)
	require.True(t, strings.HasPrefix(lines[0], "id,customerId,kind,recordId,state,errorCode,"))
	require.Equal(t, `00000001-0000-4000-8000-000000000000,acme,user,8201,review,http_422,permanent,1,2026-11-20T08:00:00Z,2026-11-20T08:00:00Z,`+
		`,,,,,user_sync_poll,,"a,b",,,true,[],`, lines[1])
}

func TestAnExportedFileIsItsOwnersAloneAndWholeOrNotThere(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.exported(t, 3)
	folder := t.TempDir()
	name := filepath.Join(folder, "letters.jsonl")
	require.NoError(t, os.WriteFile(name, []byte("old"), 0o644))
	got := i.run("dlq", "export", "--out", name, "--json")
	require.JSONEq(t, `{"letters":3,"out":"`+name+`"}`, got.stdout)
	about, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), about.Mode().Perm())

	j := newInstallation(t)
	j.answers("letters", "export", func(n int, _ []byte) (any, string) {
		if n > 1 {
			return "no more", service.CodeInternal
		}
		return report.LettersExport{Letters: []report.LetterDetail{{Letter: letterNo(1)}}, Next: new("1")}, noCode
	})
	broken := j.run("dlq", "export", "--out", filepath.Join(folder, "half.jsonl"))
	require.Equal(t, exitFailed, broken.code)
	require.Contains(t, broken.stderr, "stopped after 1 letter, which is not all")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1)
}
