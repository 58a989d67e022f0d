package rest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/fault"
)

func records(n int) []destination.Record {
	list := make([]destination.Record, 0, n)
	for i := range n {
		one := record()
		one.ExternalID = "vomo-" + strconv.Itoa(42+i)
		list = append(list, one)
	}
	return list
}

func TestBatchIsOnePostBelowBaseURL(t *testing.T) {
	t.Parallel()
	dest := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request struct{ Users []map[string]any }
		switch {
		case r.Method != http.MethodPost, r.RequestURI != "/very-private/users:batchUpsert", r.Header.Get("Authorization") != "Bearer "+token,
			json.Unmarshal(body, &request) != nil, len(request.Users) != 2, request.Users[1]["external_id"] != "vomo-43",
			request.Users[0]["source_updated_at"] != "2026-03-01T11:00:00Z":
			w.WriteHeader(http.StatusTeapot)
		default:
			_, _ = io.WriteString(w, `{"results":[{"id":"a"},{"id":7}]}`)
		}
	}, rest.Config{BatchSize: 2}, nil)
	require.Equal(t, 2, dest.BatchSize())

	results, err := dest.UpsertBatch(t.Context(), records(2))

	require.NoError(t, err)
	require.Equal(t, []destination.BatchResult{
		{Result: destination.Result{ExternalUserID: "a"}}, {Result: destination.Result{ExternalUserID: "7"}},
	}, results)
}

func TestResultsOfBatchBelongToTheirRecords(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		code      string // "" for success
		retryable bool
	}{
		`{"id":"a","error":null}`:                                    {"", false},
		`{"error":{"code":"stale"}}`:                                 {"", false},
		`{"error":{"code":"stale","status":409}}`:                    {"", false},
		`{"error":{"code":"bad_phone","message":"Ada@Example.org"}}`: {"bad_phone", false},
		`{"error":{"code":"Ada is no name"}}`:                        {"http_422", false},
		`{"error":{"code":"bad","status":404}}`:                      {"bad", false},
		`{"error":{"status":400}}`:                                   {"http_400", false},
		`{"error":"Ada@Example.org"}`:                                {"http_422", false},
		`{"error":{"code":["Ada"],"status":"x"}}`:                    {"http_422", false},
		`{"id":"a","error":{"code":"bad"}}`:                          {"bad", false},
		`{"error":{"code":"unavailable"}}`:                           {"destination_not_yet", true},
		`{"error":{"code":"unavailable","status":422}}`:              {"unavailable", false},
		`{"error":{"code":"bad","status":503}}`:                      {"destination_not_yet", true},
		`{"error":{"status":429}}`:                                   {"destination_throttled", true},
		`{}`:                                                         {"destination_broken_answer", true},
		`{"id":"a\u0000"}`:                                           {"destination_broken_answer", true},
		`null`:                                                       {"destination_broken_answer", true},
		`"Ada"`:                                                      {"destination_broken_answer", true},
	} {
		dest := serve(t, answering(http.StatusOK, `{"results":[{"id":"first"},`+body+`]}`))
		results, err := dest.UpsertBatch(t.Context(), records(2))
		require.NoError(t, err, body)
		require.Equal(t, "first", results[0].ExternalUserID)
		got := results[1].Err
		if want.code == "" {
			require.NoError(t, got, body)
			require.NotEmpty(t, results[1].ExternalUserID, body)
			continue
		}
		requireDiscreet(t, got)
		require.Equal(t, want.retryable, destination.Retryable(got), body)
		var rejection *destination.Rejection
		if want.retryable {
			require.Equal(t, want.code, fault.CodeOf(got), body)
			continue
		}
		require.ErrorAs(t, got, &rejection, body)
		require.Equal(t, want.code, rejection.Code, body)
	}
}

func TestBatchAnswerWithoutOneResultPerRecordIsBroken(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `{"results":null}`, `{"results":{}}`, `{"results":[{"id":"a"}]}`, `{"results":[{"id":"a"},{"id":"b"},{"id":"c"}]}`,
		`{"results":[{"id":"a"},{"id":"b"}`, `<html>`, `{"results":[{"id":"a"},{"id":"b"}],"padding":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		_, err := serve(t, answering(http.StatusOK, body)).UpsertBatch(t.Context(), records(2))
		require.Equal(t, "destination_broken_answer", fault.CodeOf(err))
		require.True(t, destination.Retryable(err))
		requireDiscreet(t, err)
	}
}

func TestBatchIsRejectedLikeSingleRecord(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{
		401: "destination_auth_failed", 403: "destination_auth_failed", 429: "destination_throttled", 503: "destination_5xx",
		408: "destination_timeout", 302: "destination_redirect", 404: "destination_refused", 413: "destination_refused", 409: "destination_refused",
	} {
		_, err := serve(t, answering(status, `{"code":"stale"}`)).UpsertBatch(t.Context(), records(2))
		require.Equal(t, code, fault.CodeOf(err), status)
		requireDiscreet(t, err)
	}
	_, err := serve(t, answering(http.StatusOK, `{"results":[{"id":"a"},{"error":{"code":"x","status":401}}]}`)).UpsertBatch(t.Context(), records(2))
	require.ErrorIs(t, err, destination.ErrAuth)
}

func TestInvalidRecordsOfBatchAreRejectedAndOthersSent(t *testing.T) {
	t.Parallel()
	list := records(3)
	list[0].ExternalID, list[2].SourceUpdatedAt = "..", time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	results, err := serve(t, answering(http.StatusOK, `{"results":[{"id":"a"}]}`)).UpsertBatch(t.Context(), list)
	require.NoError(t, err)
	require.Equal(t, "a", results[1].ExternalUserID)
	for _, i := range []int{0, 2} {
		var rejection *destination.Rejection
		require.ErrorAs(t, results[i].Err, &rejection)
	}
	list = list[:1]
	results, err = serve(t, answering(http.StatusTeapot, "")).UpsertBatch(t.Context(), list)
	require.NoError(t, err, "without valid records nothing must be sent")
	require.Error(t, results[0].Err)
}

func TestGuardRetriesWholeBatchAndNoSingleRecord(t *testing.T) {
	t.Parallel()
	asked := 0
	dest := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"results":[{"id":"a"},{"error":{"code":"unavailable"}}]}`)
	}, rest.Config{BatchSize: 9}, nil)
	now := func(time.Duration) <-chan time.Time {
		fired := make(chan time.Time, 1)
		fired <- time.Time{}
		return fired
	}
	guard := destination.NewGuard(dest, destination.GuardConfig{Key: "acme", Timer: now})
	require.Equal(t, 9, guard.BatchSize())

	results, err := guard.UpsertBatch(t.Context(), records(2))

	require.NoError(t, err)
	require.Equal(t, 3, asked)
	require.True(t, destination.Retryable(results[1].Err))
}

func TestEndlessBatchAnswerIsReadUpToLimit(t *testing.T) {
	t.Parallel()
	left := make(chan struct{}, 2)
	dest := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		defer func() { left <- struct{}{} }()
		blanks := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(blanks); err != nil {
				return
			}
		}
	})
	_, err := dest.UpsertBatch(t.Context(), records(2))
	require.Equal(t, "destination_broken_answer", fault.CodeOf(err))
	_, err = dest.Upsert(t.Context(), record())
	require.Equal(t, "destination_unclear_answer", fault.CodeOf(err))
	<-left
	<-left
}
