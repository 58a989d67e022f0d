package rest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

func TestBodyOfSuccessDecidesResult(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/answers-of-200.json")
	require.NoError(t, err)
	var cases []struct {
		Status int
		Body   json.RawMessage
		Means  string
	}
	require.NoError(t, json.Unmarshal(raw, &cases))
	require.NotEmpty(t, cases)
	for _, c := range cases {
		body := string(c.Body)
		if body == `""` {
			body = ""
		}
		result, err := serve(t, answering(c.Status, body)).Upsert(t.Context(), record())
		switch {
		case c.Means == "taken, id crm-1":
			require.NoError(t, err, body)
			require.Equal(t, destination.Result{ExternalUserID: "crm-1"}, result, body)
		case c.Means == "taken, without an id of its own":
			require.NoError(t, err, body)
			require.Equal(t, destination.Result{ExternalUserID: "vomo-42"}, result, body)
		case strings.HasPrefix(c.Means, "refused: this record"):
			var rejection *destination.Rejection
			require.ErrorAs(t, err, &rejection, body)
			require.Equal(t, c.Status, rejection.Status)
			if _, code, named := strings.Cut(c.Means, ", code "); named {
				require.Equal(t, code, rejection.Code)
			}
			requireDiscreet(t, err)
		default:
			t.Fatalf("unknown meaning %q", c.Means)
		}
	}
}

func TestMarksOfFailureInSuccess(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]string{
		`{"errors":["Ada's phone is bad"]}`:                             "errors_in_answer",
		`{"errors":{"email":["taken"]}}`:                                "errors_in_answer",
		`{"errors":"Ada"}`:                                              "errors_in_answer",
		`{"error":true}`:                                                "errors_in_answer",
		`{"error":"bad phone of Ada"}`:                                  "errors_in_answer",
		`{"success":false}`:                                             "errors_in_answer",
		`{"success":false,"code":"bad_phone"}`:                          "bad_phone",
		`{"id":"crm-1","numErrors":2}`:                                  "errors_in_answer",
		`{"results":[{"id":"a"},{"error":{"code":"bad_phone"}}]}`:       "bad_phone",
		`[{"success":true,"id":"a"},{"success":false}]`:                 "errors_in_answer",
		"\ufeff" + `{"errors":[{"code":"bad_phone"}]}`:                  "bad_phone",
		`[{"success":false,"errors":[{"statusCode":"INVALID_EMAIL"}]}]`: "invalid_email",
		`{"error":{"code":"bad_phone","status":422}}`:                   "bad_phone",
	} {
		_, err := serve(t, answering(http.StatusOK, body)).Upsert(t.Context(), record())
		requireRejection(t, err, http.StatusOK, code)
	}
	for body, id := range map[string]string{
		`{"id":"7","errors":[],"error":"","success":true,"numErrors":0}`: "7",
		`{"id":"7","errors":{},"error":false,"warnings":["a hint"]}`:     "7",
		`{"id":"7","errors":null,"error":0}`:                             "7",
		`{"id":"7","Errors":["of another meaning"]}`:                     "7",
		`[{"success":true,"id":"7","errors":[]}]`:                        "7",
		`{"results":[{"id":"7"}]}`:                                       "7",
		`{"data":{"errors":["deeper than the list goes"]}}`:              "vomo-42",
	} {
		result, err := serve(t, answering(http.StatusOK, body)).Upsert(t.Context(), record())
		require.NoError(t, err, body)
		require.Equal(t, destination.Result{ExternalUserID: id}, result, body)
	}
	result, err := serve(t, answering(http.StatusOK, `{"error":{"code":"stale"}}`)).Upsert(t.Context(), record())
	require.NoError(t, err)
	require.True(t, result.Stale)
	_, err = serve(t, answering(http.StatusOK, `{"error":{"code":"unauthorized"}}`)).Upsert(t.Context(), record())
	require.ErrorIs(t, err, destination.ErrAuth)
	_, err = serve(t, answering(http.StatusOK, `{"error":{"code":"try_again"}}`)).Upsert(t.Context(), record())
	require.True(t, destination.Retryable(err))
}

func TestUnreadableSuccessIsUnclear(t *testing.T) {
	t.Parallel()
	for _, answer := range []struct {
		status int
		body   string
	}{
		{200, "ok"}, {200, `{"id":"crm`}, {201, `{"id":"7"} and more`}, {200, `{"id":"7","x":"` + long(2<<20) + `"}`},
		{207, ""}, {207, `{}`}, {207, `{"results":[]}`}, {207, `[]`}, {207, `{"results":[{"id":"a"},{}]}`}, {207, `"done"`},
	} {
		_, err := serve(t, answering(answer.status, answer.body)).Upsert(t.Context(), record())
		require.True(t, destination.Retryable(err), "%d %.40s", answer.status, answer.body)
		require.Equal(t, "destination_unclear_answer", fault.CodeOf(err))
		requireDiscreet(t, err)
	}
	for _, body := range []string{`{"id":"a"}`, `{"results":[{"id":"a"}]}`, `[{"success":true}]`} {
		_, err := serve(t, answering(http.StatusMultiStatus, body)).Upsert(t.Context(), record())
		require.NoError(t, err, body)
	}
}

func TestResultsOfBatchUseSameMarksOfFailure(t *testing.T) {
	t.Parallel()
	results, err := serve(t, answering(http.StatusOK, `{"success":false,"results":[{"id":"a"},{"success":false,"id":"b"},
		{"errors":[{"code":"bad_phone"}]},{"id":"d","errors":[],"warnings":["x"]}]}`)).UpsertBatch(t.Context(), records(4))
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	requireRejection(t, results[1].Err, http.StatusUnprocessableEntity, "http_422")
	requireRejection(t, results[2].Err, http.StatusUnprocessableEntity, "bad_phone")
	require.NoError(t, results[3].Err)

	_, err = serve(t, answering(http.StatusOK, `{"numErrors":1,"results":[{"id":"a"},{"id":"b"}]}`)).UpsertBatch(t.Context(), records(2))
	require.Equal(t, "destination_unclear_answer", fault.CodeOf(err), "the answer says that something failed, and not what")
	require.True(t, destination.Retryable(err))
}
