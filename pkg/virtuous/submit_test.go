package virtuous

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

const submission = `{"transactionSource":"AcmeGive","transactionId":"don-1","contact":{"lastname":"Ruiz"}}`

func TestAnswerToASubmissionDecidesItsOutcome(t *testing.T) {
	t.Parallel()
	const invalid = `{"error":{"code":"VALIDATION_FAILED","details":[{"field":"amount","code":"MUST_BE_POSITIVE"}]}}`
	const exists = `{"message":"The request is invalid.","modelState":{"transaction":["Gift Transaction already exists."]}}`
	for name, test := range map[string]struct {
		status  int
		body    string
		verdict Verdict
		maybe   bool
		code    string
		kind    fault.Kind
		last    string
	}{
		"empty":                  {200, "", Accepted, false, "", 0, ""},
		"spaces":                 {200, " \r\n", Accepted, false, "", 0, ""},
		"201":                    {201, "", Accepted, false, "", 0, ""},
		"204":                    {204, "", Accepted, false, "", 0, ""},
		"JSON":                   {200, `{"id":7}`, Accepted, false, "", 0, ""},
		"JSON that is no object": {200, `true`, Accepted, false, "", 0, ""},
		"page":                   {200, "<html><body>Sign in</body></html>", Unclear, true, "virtuous_unknown_answer", fault.KindUnknown, "status 200"},
		"cut JSON":               {200, `{"id":`, Unclear, true, "virtuous_unknown_answer", fault.KindUnknown, "status 200"},
		"repeated":               {400, exists, Repeated, false, "", 0, ""},
		"repeated, text alone":   {400, `"Gift Transaction already exists."`, Repeated, false, "", 0, ""},
		"repeated, as 409":       {409, `gift transaction ALREADY exists`, Repeated, false, "", 0, ""},
		"repeated, as 500":       {500, exists, Repeated, false, "", 0, ""},
		"rejected":               {422, invalid, Refused, false, "virtuous_http_422", fault.KindPermanent, "status 422: amount MUST_BE_POSITIVE"},
		"rejected, modelState": {400, `{"modelState":{"transaction.giftType":["Ruiz"]}}`, Refused, false, "virtuous_http_400",
			fault.KindPermanent, "status 400: transaction.giftType"},
		"rejected, text": {400, "Ruiz", Refused, false, "virtuous_http_400", fault.KindPermanent, "status 400"},
		"404":            {404, "", Refused, false, "virtuous_not_found", fault.KindPermanent, "status 404"},
		"405":            {405, "", Refused, false, "virtuous_http_405", fault.KindPermanent, "status 405"},
		"401": {401, "Authorization has been denied for this request.", Unauthorized, false,
			"virtuous_unauthorized", fault.KindUnknown, "status 401"},
		"403":      {403, "", Forbidden, false, "virtuous_forbidden", fault.KindUnknown, "status 403"},
		"429":      {429, "", Throttled, false, "virtuous_throttled", fault.KindThrottled, "status 429"},
		"408":      {408, "", Unclear, true, "virtuous_timeout", fault.KindUnknown, "status 408"},
		"500":      {500, `{"message":"An error has occurred."}`, Unclear, true, "virtuous_5xx", fault.KindUnknown, "status 500"},
		"504":      {504, "", Unclear, true, "virtuous_timeout", fault.KindUnknown, "status 504"},
		"520":      {520, "<html>", Unclear, true, "virtuous_5xx", fault.KindUnknown, "status 520"},
		"redirect": {302, "", Unclear, false, "virtuous_redirect", fault.KindUnknown, "status 302"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, answering(test.status, test.body, "X-Request-Id", "req-1", "Date", "Fri, 20 Feb 2026 06:50:00 GMT"))
			outcome := f.SubmitGift(t.Context(), []byte(submission))
			require.Equal(t, test.verdict, outcome.Verdict, outcome.Verdict.String())
			require.Equal(t, test.maybe, outcome.MayBeAccepted)
			require.Equal(t, test.status, outcome.Status)
			require.Equal(t, "req-1", outcome.RequestID)
			require.Equal(t, time.Date(2026, 2, 20, 6, 50, 0, 0, time.UTC), outcome.Date)
			require.Equal(t, test.last, outcome.LastError())
			require.Equal(t, []request{{"POST", "/api/v2/Gift/Transaction", "", submission}}, f.got(), "one attempt, unchanged")
			require.Equal(t, []Use{UseSubmit}, f.uses)
			if outcome.IsIn() {
				require.NoError(t, outcome.Err)
				return
			}
			require.Equal(t, test.code, fault.CodeOf(outcome.Err))
			require.Equal(t, test.kind, fault.KindOf(outcome.Err))
			require.Equal(t, "req-1", RequestID(outcome.Err))
			requireDiscreet(t, outcome.Err, "don-1", "AcmeGive")
		})
	}
}

func TestEveryMadeAnswerToASubmissionIsJudged(t *testing.T) {
	t.Parallel()
	verdicts := map[string]Verdict{
		"the same transaction a second time": Repeated, "the same transaction a second time, text alone": Repeated,
		"success is empty": Accepted, "success is a page (a proxy's log-in)": Unclear,
		"message alone": Unclear, "Cloudflare in front": Unclear,
	}
	for _, made := range madeAnswers(t) {
		want, known := verdicts[made.Case]
		switch {
		case known:
		case made.Status == 401:
			want = Unauthorized
		case made.Status == 429:
			want = Throttled
		default:
			want = Refused
		}
		f := newFixture(t, made.serve)
		require.Equal(t, want, f.SubmitGift(t.Context(), []byte(submission)).Verdict, made.Case)
	}
}

func TestPauseOfAThrottledSubmissionIsKnown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(429, "", "Retry-After", "Sat, 28 Nov 2026 12:10:00 GMT", "Date", "Sat, 28 Nov 2026 12:00:00 GMT"))
	outcome := f.SubmitGift(t.Context(), []byte(submission))
	require.Equal(t, 10*time.Minute, outcome.After)
	require.Equal(t, 10*time.Minute, f.answers[0].After)
}

func TestSubmissionWithoutAnswerMayBeAccepted(t *testing.T) {
	t.Parallel()
	lost := newFixture(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	outcome := lost.SubmitGift(t.Context(), []byte(submission))
	require.Equal(t, Unclear, outcome.Verdict)
	require.True(t, outcome.MayBeAccepted)
	require.Equal(t, "virtuous_unreachable", outcome.LastError())
	require.Len(t, lost.got(), 1)

	cut := newFixture(t, answering(200, "", "Content-Length", "10"))
	outcome = cut.SubmitGift(t.Context(), []byte(submission))
	require.Equal(t, Unclear, outcome.Verdict)
	require.True(t, outcome.MayBeAccepted)

	ctx, cancel := context.WithCancel(t.Context())
	stopped := newFixture(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	outcome = stopped.SubmitGift(ctx, []byte(submission))
	require.Equal(t, Unclear, outcome.Verdict)
	require.True(t, outcome.MayBeAccepted)
	require.ErrorIs(t, outcome.Err, context.Canceled)
}

func TestRejectionThatIsNotReadWholeMayBeOfAnAcceptedTransaction(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"cut":      answering(400, `{"modelState":`, "Content-Length", "1000"),
		"too long": answering(400, strings.Repeat(" ", maxHint)+`"Gift Transaction already exists."`),
	} {
		outcome := newFixture(t, handler).SubmitGift(t.Context(), []byte(submission))
		require.Equal(t, Unclear, outcome.Verdict, name)
		require.True(t, outcome.MayBeAccepted, name)
		require.Equal(t, "virtuous_unknown_answer", fault.CodeOf(outcome.Err), name)
		require.Equal(t, "status 400", outcome.LastError(), name)
	}
	rejected := newFixture(t, answering(401, "", "Content-Length", "10")).SubmitGift(t.Context(), []byte(submission))
	require.Equal(t, Unauthorized, rejected.Verdict, "the status says enough")
}

func TestSubmissionThatDidNotLeaveIsUnsent(t *testing.T) {
	t.Parallel()
	server := newFixture(t, answering(200, ""))
	nowhere := server.clientOf(t, "http://127.0.0.1:1")
	outcome := nowhere.SubmitGift(t.Context(), []byte(submission))
	require.Equal(t, Unsent, outcome.Verdict, "no connection was made")
	require.False(t, outcome.MayBeAccepted)
	require.Equal(t, "virtuous_unreachable", fault.CodeOf(outcome.Err))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	outcome = server.SubmitGift(ctx, []byte(submission))
	require.Equal(t, Unsent, outcome.Verdict)
	require.ErrorIs(t, outcome.Err, context.Canceled)
	require.Empty(t, server.got())
}

func TestBatchHasEachTransactionUnchanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, ""))
	outcome := f.SubmitGifts(t.Context(), "AcmeGive", []json.RawMessage{json.RawMessage(`{"transactionId":"1","amount":"125.00"}`),
		json.RawMessage(`{"transactionId":"2"}`)})
	require.Equal(t, Accepted, outcome.Verdict)
	require.Equal(t, []request{{
		"POST", "/api/v2/Gift/Transactions", "",
		`{"transactionSource":"AcmeGive","transactions":[{"transactionId":"1","amount":"125.00"},{"transactionId":"2"}]}`,
	}}, f.got())

	invalid := f.SubmitGifts(t.Context(), "AcmeGive", []json.RawMessage{json.RawMessage(`{"contact":"Ruiz`)})
	require.Equal(t, Unsent, invalid.Verdict)
	requireDiscreet(t, invalid.Err)
}

func TestRefusalOfABatchSaysNothingAboutItsTransactions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(400, `"Gift Transaction already exists."`))
	outcome := f.SubmitGifts(t.Context(), "AcmeGive", []json.RawMessage{json.RawMessage(`{}`)})
	require.Equal(t, Refused, outcome.Verdict, "one of them exists; it is not known which")
}

func TestVerdictsHaveNames(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for verdict := Unsent; verdict <= Refused; verdict++ {
		names[verdict.String()] = true
	}
	require.Len(t, names, 8)
	require.NotContains(t, names, "unknown")
	require.Equal(t, "unknown", Verdict(99).String())
}
