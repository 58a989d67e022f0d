package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func shownLetter() operatorapi.LetterShown {
	return operatorapi.LetterShown{
		LetterDetail: operatorapi.LetterDetail{
			Letter: letterNo(1), OriginalSubject: "rollcall.dlq.retry.user.acme", TraceID: new("00-trace-01"), SourceUpdatedAt: &testTime,
			History: []operatorapi.LetterAttempt{{At: testTime, Code: "destination_5xx", Job: "dlq_retry"}}, Text: "Refused.", Remedy: "Mend it.",
		},
		DestinationVersion: &operatorapi.DestinationVersion{SourceUpdatedAt: testTime.Add(time.Hour), SyncedAt: testTime.Add(2 * time.Hour), Compared: "newer"},
		DestinationAnswer:  &destination.Answer{Status: 422, Text: "{\"message\":\"no such\u001b[31m role\"}"},
	}
}

func TestDlqShowPrintsAttemptsAndRemedy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("letters", "show", always(shownLetter()))
	got := f.run("dlq", "show", "00000001")
	require.Zero(t, got.code, got.stderr)
	for _, want := range []string{
		`letter 00000001-0000-4000-8000-000000000000`, `record +8201`, `error +http_422 \(permanent\)`, `state +review`, `trace +00-trace-01`,
		`rejected version +2026-11-20 08:00:00 UTC`, `in the destination +a newer version, of 2026-11-20 09:00:00 UTC, written 2026-11-20 10:00:00 UTC`,
		`2026-11-20 08:00:00 UTC +destination_5xx +dlq_retry`, `Refused.\n +Mend it.`,
		`the destination answered 422\n\{"message":"no such\\u001b\[31m role"\}`,
	} {
		require.Regexp(t, want, got.stdout)
	}
	shown := document[operatorapi.LetterShown](t, f.run("dlq", "show", "00000001", "--json"))
	require.Equal(t, shownLetter(), shown)
}

func TestDlqShowOfAMessagePrintsTheReasonAndTheOlderLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	shown := shownLetter()
	shown.Kind, shown.Reason = "message", new("customerId: is not a text")
	shown.History = append(shown.History, operatorapi.LetterAttempt{At: testTime, Code: "request_invalid", Job: "user_sync_poll", LetterID: "77d01be3"})
	f.answers("letters", "show", always(shown))
	got := f.run("dlq", "show", "00000001")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `reason +customerId: is not a text\n`, got.stdout)
	require.Regexp(t, `request_invalid +user_sync_poll +of letter 77d01be3, published again\n`, got.stdout)
	require.Equal(t, shown, document[operatorapi.LetterShown](t, f.run("dlq", "show", "00000001", "--json")))
}

func TestPayloadIsJoinedFromPiecesAndItsControlCharactersAreEscaped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("letters", "show", always(shownLetter()))
	message := "{\"customerId\":\"acme\",\"vomoToken\":\"…\",\"odd\":\"\u009b31m\"}"
	f.answers("letters", "payload", func(_ int, data []byte) (any, string) {
		question := decoded[operatorapi.LetterPayloadQuestion](t, data)
		end := min(question.Offset+10, len(message))
		piece := operatorapi.LetterPayload{Format: operatorapi.PayloadJSON, Data: []byte(message[question.Offset:end]), Hidden: 1}
		if end < len(message) {
			piece.Next = &end
		}
		return piece, noCode
	})
	got := f.run("dlq", "show", "00000001", "--payload")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, `{"customerId":"acme","vomoToken":"…","odd":"\u009b31m"}`)
	require.Contains(t, got.stderr, "--secrets shows them")
	whole := document[map[string]any](t, f.run("dlq", "show", "00000001", "--payload", "--json"))
	require.Equal(t, map[string]any{"customerId": "acme", "vomoToken": "…", "odd": "\u009b31m"}, whole["payload"])
	require.InDelta(t, 1, whole["payloadHidden"], 0)
}

func TestPayloadThatIsNoJSONIsShownInBase64(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("letters", "show", always(shownLetter()))
	f.answers("letters", "payload", func(_ int, data []byte) (any, string) {
		if !decoded[operatorapi.LetterPayloadQuestion](t, data).Secrets {
			return "it is no JSON: --secrets shows its bytes", service.CodeConflict
		}
		return operatorapi.LetterPayload{Format: operatorapi.PayloadBytes, Data: []byte{0, 1, 2}}, noCode
	})
	refused := f.run("dlq", "show", "00000001", "--payload")
	require.Equal(t, result{code: 1, stderr: "rollcall: it is no JSON: --secrets shows its bytes\n"}, refused)
	require.Contains(t, f.run("dlq", "show", "00000001", "--payload", "--secrets").stdout, "message, base64\nAAEC\n")
}
