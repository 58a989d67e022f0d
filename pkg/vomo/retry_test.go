package vomo

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
)

// failing answers the first n requests with status and header, the others with a page.
func failing(n, status int, header map[string]string) *organisation {
	org := &organisation{total: 20}
	org.first = func(w http.ResponseWriter, _ *http.Request) bool {
		if len(org.pages()) > n {
			return false
		}
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"message":"ana.ruiz@example.org"}`))
		return true
	}
	return org
}

func TestServerErrorsAreRetriedWithGrowingJitteredDelays(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 502, 503, 504, 520} {
		org := failing(3, status, nil)
		client, naps := serve(t, org.serve)
		_, err := client.Page(t.Context(), Query{}, 1)
		require.NoError(t, err)
		require.Len(t, org.pages(), 4)
		requireBackoff(t, naps.all(), 3)
	}
}

func requireBackoff(t *testing.T, delays []time.Duration, n int) {
	t.Helper()
	require.Len(t, delays, n)
	middle := 250 * time.Millisecond
	for _, d := range delays {
		require.GreaterOrEqual(t, d, middle/2)
		require.LessOrEqual(t, d, middle*3/2)
		middle = min(2*middle, 4*time.Second)
	}
}

func TestDelaysAreAtMostFourSeconds(t *testing.T) {
	t.Parallel()
	org := failing(9, 500, nil)
	client, naps := serve(t, org.serve, func(cfg *Config) { cfg.Attempts = 10 })
	_, err := client.Page(t.Context(), Query{}, 1)
	require.NoError(t, err)
	requireBackoff(t, naps.all(), 9)
}

func TestDelaysHaveJitter(t *testing.T) {
	t.Parallel()
	firsts := map[time.Duration]bool{}
	for range 8 {
		client, naps := serve(t, failing(1, 500, nil).serve)
		_, err := client.Page(t.Context(), Query{}, 1)
		require.NoError(t, err)
		firsts[naps.all()[0]] = true
	}
	require.Greater(t, len(firsts), 1)
}

func TestFaultAndAttemptsOfEachStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]struct {
		kind     fault.Kind
		code     string
		is       error
		attempts int
	}{
		401: {fault.KindUnknown, "vomo_unauthorized", ErrUnauthorized, 1},
		403: {fault.KindUnknown, "vomo_forbidden", ErrForbidden, 1},
		404: {fault.KindUnknown, "vomo_not_found", ErrNotFound, 1},
		408: {fault.KindUnknown, "vomo_timeout", nil, 4},
		400: {fault.KindUnknown, "vomo_http_400", ErrRejected, 4},
		405: {fault.KindUnknown, "vomo_http_405", ErrRejected, 4},
		406: {fault.KindUnknown, "vomo_http_406", ErrRejected, 4},
		409: {fault.KindUnknown, "vomo_http_409", ErrRejected, 4},
		421: {fault.KindUnknown, "vomo_http_421", ErrRejected, 4},
		422: {fault.KindUnknown, "vomo_http_422", ErrRejected, 4},
		423: {fault.KindUnknown, "vomo_http_423", ErrRejected, 4},
		425: {fault.KindUnknown, "vomo_http_425", ErrRejected, 4},
		451: {fault.KindUnknown, "vomo_http_451", ErrRejected, 4},
		429: {fault.KindThrottled, "vomo_throttled", ErrThrottled, 4},
		500: {fault.KindUnknown, "vomo_5xx", nil, 4},
		503: {fault.KindUnknown, "vomo_5xx", nil, 4},
		304: {fault.KindUnknown, "vomo_redirect", ErrTooManyRedirects, 1},
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			org := failing(100, status, nil)
			client, _ := serve(t, org.serve)
			_, err := client.Page(t.Context(), Query{UpdatedAfter: testNow}, 1)
			require.Error(t, err)
			require.Equal(t, want.kind, fault.KindOf(err))
			require.Equal(t, want.code, fault.CodeOf(err))
			if want.is != nil {
				require.ErrorIs(t, err, want.is)
			}
			require.Len(t, org.pages(), want.attempts)
			requireDiscreet(t, err)
		})
	}
}

func requireDiscreet(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{testToken, "updated_after", "?", "ana.ruiz", "2026-"} {
		require.NotContains(t, err.Error(), secret)
	}
}

func Test429WithShortRetryAfterIsRetried(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header map[string]string
		after  time.Duration // 0: the default delay
	}{
		"seconds":     {map[string]string{"Retry-After": "7"}, 7 * time.Second},
		"ten seconds": {map[string]string{"Retry-After": " 10 "}, 10 * time.Second},
		"a date by VOMO's clock": {map[string]string{
			"Retry-After": "Sun, 01 Feb 2026 00:00:05 GMT", "Date": "Sun, 01 Feb 2026 00:00:00 GMT",
		}, 5 * time.Second},
		"a date, and no clock but ours":  {map[string]string{"Retry-After": testNow.Add(3 * time.Second).Format(http.TimeFormat), "Date": "?"}, 3 * time.Second},
		"a date that has passed":         {map[string]string{"Retry-After": "Sun, 01 Feb 2026 00:00:00 GMT", "Date": "Sun, 01 Feb 2026 00:00:09 GMT"}, 0},
		"none":                           {nil, 0},
		"zero":                           {map[string]string{"Retry-After": "0"}, 0},
		"neither a number nor a date":    {map[string]string{"Retry-After": "soon"}, 0},
		"a number of seconds below zero": {map[string]string{"Retry-After": "-5"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var reported []time.Duration
			org := failing(2, 429, c.header)
			client, naps := serve(t, org.serve, func(cfg *Config) {
				cfg.Throttled = func(_ context.Context, after time.Duration) { reported = append(reported, after) }
			})
			_, err := client.Page(t.Context(), Query{}, 1)
			require.NoError(t, err)
			require.Equal(t, []time.Duration{c.after, c.after}, reported, "each 429 must be reported")
			if c.after == 0 {
				requireBackoff(t, naps.all(), 2)
				return
			}
			require.Equal(t, []time.Duration{c.after, c.after}, naps.all())
		})
	}
}

func Test429WithLongRetryAfterIsReturnedAtOnce(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]time.Duration{
		"11":                      11 * time.Second,
		"3600":                    time.Hour,
		"3601":                    time.Hour,
		"99999999999999999999999": time.Hour,
		testNow.Add(48 * time.Hour).Format(http.TimeFormat): time.Hour,
	} {
		var reported []time.Duration
		org := failing(100, 429, map[string]string{"Retry-After": raw, "Date": testNow.Format(http.TimeFormat)})
		client, naps := serve(t, org.serve, func(cfg *Config) {
			cfg.Throttled = func(_ context.Context, after time.Duration) { reported = append(reported, after) }
		})
		_, err := client.Page(t.Context(), Query{}, 1)
		require.ErrorIs(t, err, ErrThrottled)
		after, named := fault.After(err)
		require.True(t, named)
		require.Equal(t, want, after, raw)
		require.Equal(t, []time.Duration{want}, reported)
		require.Empty(t, naps.all())
		require.Len(t, org.pages(), 1)
	}
}

// testdata/cases/odd-statuses.md.
func TestSingleOddStatusDuringScanIsRetried(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 405, 406, 409, 421, 423, 425, 451} {
		org := &organisation{total: 40}
		org.first = func(w http.ResponseWriter, _ *http.Request) bool {
			if len(org.pages()) != 3 {
				return false
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>no</html>"))
			return true
		}
		client, naps := serve(t, org.serve)
		numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{Ahead: 1}))
		require.NoError(t, err, status)
		require.Equal(t, upTo(3), numbers, status)
		require.Len(t, naps.all(), 1, status)
	}
}

// testdata/cases/pauses.md.
func TestPauseIsRespectedForAnyStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		values []string
		waited time.Duration // waited by the client; 0: the fault is returned at once
		after  time.Duration
		code   string
	}{
		"maintenance":                {503, []string{"12"}, 0, 12 * time.Second, "vomo_5xx"},
		"a short maintenance":        {503, []string{"3"}, 3 * time.Second, 3 * time.Second, "vomo_5xx"},
		"an internal error":          {500, []string{"4"}, 4 * time.Second, 4 * time.Second, "vomo_5xx"},
		"a fraction":                 {429, []string{"2.5"}, 2500 * time.Millisecond, 2500 * time.Millisecond, "vomo_throttled"},
		"two proxies":                {429, []string{"3, 3"}, 3 * time.Second, 3 * time.Second, "vomo_throttled"},
		"two headers":                {429, []string{"3", "7"}, 7 * time.Second, 7 * time.Second, "vomo_throttled"},
		"too early":                  {425, []string{"2"}, 2 * time.Second, 2 * time.Second, "vomo_http_425"},
		"locked for long":            {423, []string{"600"}, 0, 10 * time.Minute, "vomo_http_423"},
		"a request that timed out":   {408, []string{"2"}, 2 * time.Second, 2 * time.Second, "vomo_timeout"},
		"a token, and when to retry": {401, []string{"30"}, 0, 30 * time.Second, "vomo_unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var named []time.Duration
			org := failing(100, c.status, nil)
			refuse := org.first
			org.first = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header()["Retry-After"] = c.values
				return refuse(w, r)
			}
			client, naps := serve(t, org.serve, func(cfg *Config) {
				cfg.Throttled = func(_ context.Context, after time.Duration) { named = append(named, after) }
			})
			_, err := client.Page(t.Context(), Query{}, 1)
			require.Equal(t, c.code, fault.CodeOf(err))
			if after, throttled := fault.After(err); throttled || c.status != 401 {
				require.Equal(t, c.after, after)
			}
			require.Equal(t, c.after, named[0], "the pause must be reported for the customer")
			if c.waited == 0 {
				require.Len(t, org.pages(), 1)
				return
			}
			require.Equal(t, []time.Duration{c.waited, c.waited, c.waited}, naps.all())
		})
	}
}

func TestRetryAfterInThePastIsIgnored(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"-5", "Sun, 01 Feb 2026 00:00:00 GMT"} {
		org := failing(2, 503, map[string]string{"Retry-After": value, "Date": testNow.Format(http.TimeFormat)})
		client, naps := serve(t, org.serve, func(cfg *Config) {
			cfg.Throttled = func(context.Context, time.Duration) { t.Error("no pause was named") }
		})
		_, err := client.Page(t.Context(), Query{}, 1)
		require.NoError(t, err)
		requireBackoff(t, naps.all(), 2)
	}
}

func TestCancellationEndsTheWaitBetweenAttemptsWithItsCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	org := failing(100, 500, nil)
	client, _ := serve(t, org.serve, func(cfg *Config) {
		cfg.Sleep = func(ctx context.Context, _ time.Duration) error {
			cancel(errTest)
			return backoff.Sleep(ctx, time.Hour)
		}
	})
	_, err := client.Page(ctx, Query{}, 1)
	require.ErrorIs(t, err, errTest)
	require.Len(t, org.pages(), 1)
}

func TestCancellationEndsRequestInFlightWithItsCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	org := &organisation{first: func(_ http.ResponseWriter, r *http.Request) bool {
		cancel(errTest)
		<-r.Context().Done()
		return true
	}}
	client, naps := serve(t, org.serve)
	_, err := client.Page(ctx, Query{}, 1)
	require.ErrorIs(t, err, errTest)
	require.Empty(t, naps.all())
}

func TestCancellationDuringBeforeReturnsItsCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	calls := 0
	client, _ := clientOf(t, "http://127.0.0.1:1", func(cfg *Config) {
		cfg.Before = func(ctx context.Context) error {
			calls++
			cancel(errTest)
			return ctx.Err()
		}
	})
	_, err := client.Page(ctx, Query{}, 1)
	require.ErrorIs(t, err, errTest)
	_, err = client.Page(ctx, Query{}, 1)
	require.ErrorIs(t, err, errTest)
	require.Equal(t, 1, calls, "no request may follow after the context has ended")
}
