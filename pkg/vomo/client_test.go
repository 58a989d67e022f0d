package vomo

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

func TestErrorOfNewNamesEveryWrongFieldAndNoValue(t *testing.T) {
	t.Parallel()
	const secret = "hush-hush"
	for name, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"everything missing":     {Config{}, []string{"BaseURL", "Token"}},
		"not a URL":              {Config{BaseURL: "https://" + secret + "\x7f", Token: "t"}, []string{"BaseURL"}},
		"another scheme":         {Config{BaseURL: "ftp://" + secret, Token: "t"}, []string{"BaseURL"}},
		"no host":                {Config{BaseURL: "https:///" + secret, Token: "t"}, []string{"BaseURL"}},
		"a password":             {Config{BaseURL: "https://u:" + secret + "@h", Token: "t"}, []string{"BaseURL"}},
		"a query":                {Config{BaseURL: "https://h/?k=" + secret, Token: "t"}, []string{"BaseURL"}},
		"a token of two lines":   {Config{BaseURL: "https://h", Token: secret + "\nX: y"}, []string{"Token"}},
		"limits below zero":      {Config{BaseURL: "https://h", Token: "t", Timeout: -1, Attempts: -1}, []string{"Timeout", "Attempts"}},
		"a token with umlauts":   {Config{BaseURL: "https://h", Token: secret + "ü"}, []string{"Token"}},
		"a base with a fragment": {Config{BaseURL: "https://h/#" + secret, Token: "t"}, []string{"BaseURL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(c.cfg)
			require.Error(t, err)
			for _, field := range c.want {
				require.Contains(t, err.Error(), field+":")
			}
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	client, err := New(Config{BaseURL: "https://api.example/v1/", Token: "t"})
	require.NoError(t, err)
	require.Equal(t, 10*time.Second, client.timeout)
	require.Equal(t, 4, client.attempts)
	require.Equal(t, "https://api.example/v1/users", client.users.String())
	require.NotSame(t, http.DefaultTransport, client.http.Transport)
	require.WithinDuration(t, time.Now(), client.now(), time.Minute)
	require.NoError(t, client.sleep(t.Context(), 0))
	ended, end := context.WithCancelCause(t.Context())
	end(errTest)
	require.ErrorIs(t, client.sleep(ended, time.Hour), errTest)
}

var errTest = errors.New("the test's own")

func TestPageRequestHasNumberFiltersAndToken(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 2*3600)
	var seen *http.Request
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r
		write(w, wire(pageOf(r), 120))
	})
	page, err := client.Page(t.Context(), Query{
		UpdatedAfter:  time.Date(2026, 2, 19, 12, 15, 0, 999, zone),
		UpdatedBefore: time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC),
		CreatedAfter:  time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		CreatedBefore: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC),
	}, 3)
	require.NoError(t, err)
	require.Equal(t, "/v1/users", seen.URL.Path)
	require.Equal(t, map[string][]string{
		"page":           {"3"},
		"updated_after":  {"2026-02-19T10:15:00Z"},
		"updated_before": {"2026-02-20T00:00:00Z"},
		"created_after":  {"2020-01-01T00:00:00Z"},
		"created_before": {"2021-01-01T00:00:00Z"},
	}, map[string][]string(seen.URL.Query()))
	require.Equal(t, "Bearer "+testToken, seen.Header.Get("Authorization"))
	require.Equal(t, "application/json", seen.Header.Get("Accept"))
	require.Equal(t, 3, page.Number)
	require.Len(t, page.Users, 15)
	require.Equal(t, "31", page.Users[0].ID)
	require.Equal(t, "A.Mixed@Case.example", *page.Users[0].Email)
	require.Equal(t, 120, page.Total)
	require.True(t, page.More)
}

func TestQueryWithoutTimesHasNoFilter(t *testing.T) {
	t.Parallel()
	require.Equal(t, "page=1", Query{}.values(1).Encode())
}

func TestPagesAreCountedFromOne(t *testing.T) {
	t.Parallel()
	client, _ := clientOf(t, "http://127.0.0.1:1")
	_, err := client.Page(t.Context(), Query{}, 0)
	require.ErrorContains(t, err, "counted from 1")
}

func TestPageDateIsDateHeaderOrZero(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Time{
		"Thu, 19 Feb 2026 10:15:00 GMT": time.Date(2026, 2, 19, 10, 15, 0, 0, time.UTC),
		"yesterday":                     {},
		"":                              {},
	} {
		client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = []string{header}
			write(w, wire(1, 1))
		})
		page, err := client.Page(t.Context(), Query{}, 1)
		require.NoError(t, err)
		require.Equal(t, want, page.Date, header)
	}
}

func TestProbeRequestsPageOneOnce(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{200: nil, 401: ErrUnauthorized, 403: ErrForbidden, 404: ErrNotFound} {
		org := &organisation{total: 40, first: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return status != 200
		}}
		client, _ := serve(t, org.serve)
		page, err := client.Probe(t.Context())
		require.ErrorIs(t, err, want)
		require.Equal(t, []int{1}, org.pages())
		if want == nil {
			require.Equal(t, 40, page.Total)
		}
	}
}

func TestProbeDoesNotRetry(t *testing.T) {
	t.Parallel()
	org := &organisation{first: func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}}
	client, naps := serve(t, org.serve)
	_, err := client.Probe(t.Context())
	require.Equal(t, "vomo_5xx", fault.CodeOf(err))
	require.Equal(t, []int{1}, org.pages())
	require.Empty(t, naps.all())
}

func TestBeforeIsCalledForEveryAttemptAndItsErrorEndsThem(t *testing.T) {
	t.Parallel()
	calls := 0
	org := &organisation{first: func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}}
	client, _ := serve(t, org.serve, func(cfg *Config) {
		cfg.Before = func(context.Context) error {
			if calls++; calls == 3 {
				return errTest
			}
			return nil
		}
	})
	_, err := client.Page(t.Context(), Query{}, 7)
	require.ErrorIs(t, err, errTest)
	require.Equal(t, "internal", fault.CodeOf(err), "Before's error must be returned without a code")
	require.Equal(t, 3, calls)
	require.Equal(t, []int{7, 7}, org.pages())
}

func TestTransportsToVOMOHaveSameSettings(t *testing.T) {
	t.Parallel()
	client, err := New(Config{BaseURL: "https://api.example/v1", Token: "t"})
	require.NoError(t, err)
	own, ok := client.http.Transport.(*http.Transport)
	require.True(t, ok)
	for _, transport := range []*http.Transport{own, NewTransport(64)} {
		require.Equal(t, reflect.ValueOf(http.ProxyFromEnvironment).Pointer(), reflect.ValueOf(transport.Proxy).Pointer())
		require.EqualValues(t, 64<<10, transport.MaxResponseHeaderBytes)
		require.True(t, transport.ForceAttemptHTTP2)
	}
	require.Equal(t, 512, NewTransport(64).MaxIdleConnsPerHost)
}
