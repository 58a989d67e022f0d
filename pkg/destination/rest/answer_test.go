package rest_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

func TestDestinationsIDIsKeptIfReadable(t *testing.T) {
	t.Parallel()
	for body, id := range map[string]string{
		`{"id":"crm-7"}`:          "crm-7",
		`{"id":9007199254740993}`: "9007199254740993",
		`{"id":7,"name":"x"}`:     "7",
		`{"id":null}`:             "vomo-42",
		`{"id":""}`:               "vomo-42",
		`{"id":{"of":1}}`:         "vomo-42",
		`{"id":true}`:             "vomo-42",
		`{"id":"a\u0000b"}`:       "vomo-42",
		`{"id":"` + strings.Repeat("x", 513) + `"}`: "vomo-42",
		`{}`: "vomo-42",
		`[]`: "vomo-42",
		``:   "vomo-42",
		`{"id":"7","x":"` + long(1<<20-20) + "\"}\n": "7",
	} {
		result, err := serve(t, answering(http.StatusOK, body)).Upsert(t.Context(), record())
		require.NoError(t, err)
		require.Equal(t, destination.Result{ExternalUserID: id}, result, "%.60s", body)
	}
}

func TestSuccessNeedsNoBody(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204} {
		result, err := serve(t, answering(status, "")).Upsert(t.Context(), record())
		require.NoError(t, err)
		require.Equal(t, "vomo-42", result.ExternalUserID)
	}
}

func TestHTMLPageIsNotASuccess(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"<!doctype html><title>Sign in</title>", "\ufeff\n <html>"} {
		_, err := serve(t, answering(http.StatusOK, body)).Upsert(t.Context(), record())
		require.True(t, destination.Retryable(err))
		require.Equal(t, "destination_broken_answer", fault.CodeOf(err))
	}
}

func TestNewerVersionAtDestinationCountsAsDone(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"code":"stale"}`, `{"error":{"code":"stale","message":"newer"}}`} {
		result, err := serve(t, answering(http.StatusConflict, body)).Upsert(t.Context(), record())
		require.NoError(t, err)
		require.Equal(t, destination.Result{ExternalUserID: "vomo-42", Stale: true}, result)
	}
}

func TestRejectionCarriesDestinationsCode(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 404, 405, 409, 410, 413, 418, 422, 451} {
		for body, code := range map[string]string{
			`{"code":"bad_phone"}`:                           "bad_phone",
			"\ufeff" + `{"code":"bad_phone"}`:                "bad_phone",
			`{"error":{"code":"bad_phone","message":"Ada"}}`: "bad_phone",
			`{"code":"","error":{"code":"inner"}}`:           "inner",
			`{"code":17}`:                                    fmt.Sprintf("http_%d", status),
			`{"code":"Ada's phone is bad"}`:                  fmt.Sprintf("http_%d", status),
			`{"error":"bad phone of Ada"}`:                   fmt.Sprintf("http_%d", status),
			`{"code":"late","x":"` + long(2<<20) + `"}`:      fmt.Sprintf("http_%d", status),
			`<html>no`: fmt.Sprintf("http_%d", status),
			``:         fmt.Sprintf("http_%d", status),
		} {
			_, err := serve(t, answering(status, body)).Upsert(t.Context(), record())
			requireRejection(t, err, status, code)
		}
	}
	_, err := serve(t, answering(http.StatusBadRequest, `{"code":"stale"}`)).Upsert(t.Context(), record())
	requireRejection(t, err, http.StatusBadRequest, "stale")
}

func TestRejectedCredentialIsNotARejectionOfTheRecord(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		_, err := serve(t, answering(status, `{"code":"no"}`)).Upsert(t.Context(), record())
		require.ErrorIs(t, err, destination.ErrAuth)
		require.Equal(t, "destination_auth_failed", fault.CodeOf(err))
	}
}

func TestFailuresOfDestinationAreRetryable(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{
		408: "destination_timeout", 429: "destination_throttled",
		500: "destination_5xx", 501: "destination_5xx", 502: "destination_5xx", 503: "destination_5xx", 599: "destination_5xx",
		423: "destination_not_yet", 425: "destination_not_yet",
		300: "destination_redirect", 304: "destination_redirect",
	} {
		_, err := serve(t, answering(status, "")).Upsert(t.Context(), record())
		require.True(t, destination.Retryable(err), status)
		require.Equal(t, code, fault.CodeOf(err), status)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{other.URL, "/very-private/users/new", "://nonsense", ""} {
			var requests atomic.Int64
			dest := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			})
			_, err := dest.Upsert(t.Context(), record())
			require.Equal(t, "destination_redirect", fault.CodeOf(err))
			require.True(t, destination.Retryable(err))
			require.EqualValues(t, 1, requests.Load())
		}
	}
	require.Zero(t, elsewhere.Load())
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC) // the destination's clock is a quarter of a century slow
	for value, pause := range map[string]time.Duration{
		"7":    7 * time.Second,
		" 7 ":  7 * time.Second,
		"0":    0,
		"":     0,
		"-5":   0,
		"soon": 0,
		"1.5":  1500 * time.Millisecond,
		"7200": 2 * time.Hour,
		strconv.FormatUint(uint64(math.MaxUint64), 10):    24 * time.Hour,
		date.Add(9 * time.Second).Format(http.TimeFormat): 9 * time.Second,
		date.Add(-time.Second).Format(http.TimeFormat):    0,
		date.AddDate(5, 0, 0).Format(http.TimeFormat):     24 * time.Hour,
	} {
		dest := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", date.Format(http.TimeFormat))
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := dest.Upsert(t.Context(), record())
		got, _ := fault.After(err)
		require.Equal(t, fault.KindThrottled, fault.KindOf(err))
		require.Equal(t, pause, got, value)
	}
}

func TestEachRetryableStatusMayHaveRetryAfter(t *testing.T) {
	t.Parallel()
	for _, status := range []int{408, 423, 425, 429, 500, 503} {
		dest := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600.5")
			w.WriteHeader(status)
		})
		_, err := dest.Upsert(t.Context(), record())
		pause, _ := fault.After(err)
		require.Equal(t, time.Hour+500*time.Millisecond, pause, status)
		require.True(t, destination.Retryable(err))
	}
	dest := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		_, _ = io.WriteString(w, `{"results":[{"id":"a"},{"error":{"status":429}}]}`)
	})
	results, err := dest.UpsertBatch(t.Context(), records(2))
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	pause, _ := fault.After(results[1].Err)
	require.Equal(t, time.Minute, pause)
}

func TestRetryAfterDateUsesLocalClockIfAnswerHasNoDate(t *testing.T) {
	t.Parallel()
	dest := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Set("Retry-After", time.Now().Add(30*time.Minute).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, err := dest.Upsert(t.Context(), record())
	pause, _ := fault.After(err)
	require.InDelta(t, 30*time.Minute, pause, float64(time.Minute))
}

func TestEndlessAnswerIsNotReadToTheEnd(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 422, 503} {
		stopped := make(chan int64, 1)
		dest := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			var written int64
			for chunk := make([]byte, 64<<10); ; {
				n, err := w.Write(chunk)
				written += int64(n)
				if err != nil {
					stopped <- written
					return
				}
			}
		})

		_, err := dest.Upsert(t.Context(), record())

		require.Error(t, err, "an incomplete answer must be an error, whatever its status")
		require.Less(t, <-stopped, int64(32<<20), "beyond 1 MiB only the sockets' buffers may be filled")
	}
}

func long(n int) string { return strings.Repeat("x", n) }
