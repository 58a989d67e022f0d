package vomo

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

func TestBrokenAnswersAreRetriedAndThenReturned(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no JSON":              "<html>ana.ruiz@example.org</html>",
		"nothing":              "",
		"cut in the middle":    `{"data":[{"id":1,`,
		"something after it":   `{"data":[]} {}`,
		"a list":               `[]`,
		"null":                 `null`,
		"no data":              `{"links":{},"meta":{}}`,
		"data null":            `{"data":null}`,
		"data an object":       `{"data":{"a":{}}}`,
		"links a text":         `{"data":[],"links":"none"}`,
		"links a list of some": `{"data":[],"links":[1]}`,
		"meta a number":        `{"data":[],"meta":4}`,
		"next a number":        `{"data":[{}],"links":{"next":2}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			client, naps := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				_, _ = w.Write([]byte(body))
			})
			_, err := client.Page(t.Context(), Query{UpdatedAfter: testNow}, 1)
			require.ErrorIs(t, err, ErrBrokenPage)
			require.Equal(t, "vomo_broken_page", fault.CodeOf(err))
			require.Equal(t, fault.KindUnknown, fault.KindOf(err))
			require.EqualValues(t, 4, requests.Load())
			requireBackoff(t, naps.all(), 3)
			requireDiscreet(t, err)
		})
	}
}

func TestTruncatedBodyIsBrokenPage(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"data":[]}`))
	})
	_, err := client.Page(t.Context(), Query{}, 1)
	require.Equal(t, "vomo_broken_page", fault.CodeOf(err))
}

func TestBodyOver16MiBIsTooLarge(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, err := zip.Write(append([]byte(`{"data":[]}`), bytes.Repeat([]byte(" "), maxBody)...))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	require.Less(t, packed.Len(), 1<<20, "the compressed body must be small")

	var requests atomic.Int32
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	_, err = client.Page(t.Context(), Query{}, 1)
	require.ErrorIs(t, err, ErrBodyTooLarge)
	require.Equal(t, "vomo_body_too_large", fault.CodeOf(err))
	require.EqualValues(t, 1, requests.Load())
}

func TestBodyOf16MiBIsRead(t *testing.T) {
	t.Parallel()
	body := []byte(`{"data":[]}`)
	body = append(body, bytes.Repeat([]byte(" "), maxBody-len(body))...)
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	_, err := client.Page(t.Context(), Query{}, 1)
	require.NoError(t, err)
}

func TestSilentServerIsTimeout(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{"before the answer": "", "inside the body": `{"data":[`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, naps := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if start != "" {
					_, _ = w.Write([]byte(start))
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}, func(cfg *Config) { cfg.Timeout = 30 * time.Millisecond; cfg.Attempts = 2 })
			_, err := client.Page(t.Context(), Query{UpdatedAfter: testNow}, 1)
			require.Equal(t, "vomo_timeout", fault.CodeOf(err))
			require.NotErrorIs(t, err, context.DeadlineExceeded, "the error must not be the caller's deadline")
			require.Len(t, naps.all(), 1)
			requireDiscreet(t, err)
		})
	}
}

func TestTimeInBeforeDoesNotCountAgainstTimeout(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, (&organisation{total: 1}).serve, func(cfg *Config) {
		cfg.Before = func(ctx context.Context) error {
			if _, limited := ctx.Deadline(); limited {
				return errTest
			}
			return nil
		}
	})
	_, err := client.Page(t.Context(), Query{}, 1)
	require.NoError(t, err)
}

func TestServerThatIsNotRunningIsUnreachable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, naps := clientOf(t, server.URL)
	_, err := client.Page(t.Context(), Query{UpdatedAfter: testNow}, 1)
	require.Equal(t, "vomo_unreachable", fault.CodeOf(err))
	require.Len(t, naps.all(), 3)
	requireDiscreet(t, err)
}

func TestConnectionClosedBeforeAnswerIsUnreachable(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := client.Page(t.Context(), Query{}, 1)
	require.Equal(t, "vomo_unreachable", fault.CodeOf(err))
	require.ErrorContains(t, err, "closed the connection")
}

func TestUntrustedCertificateIsUnreachableAndNamed(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	client, _ := clientOf(t, server.URL)
	_, err := client.Page(t.Context(), Query{}, 1)
	require.Equal(t, "vomo_unreachable", fault.CodeOf(err))
	require.ErrorContains(t, err, "certificate")
}

type failingTransport struct{ err error }

func (f failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestErrorDoesNotContainTransportsText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`malformed HTTP response "ana.ruiz@example.org"`, "GET https://h/?updated_after=2026-01"} {
		client, _ := clientOf(t, "http://127.0.0.1:1", func(cfg *Config) {
			cfg.Transport = failingTransport{&url.Error{Op: "Get", URL: "http://h/?updated_after=1", Err: errors.New(text)}}
		})
		_, err := client.Page(t.Context(), Query{UpdatedAfter: testNow}, 1)
		require.Equal(t, "vomo_unreachable", fault.CodeOf(err))
		requireDiscreet(t, err)
	}
}

func TestRedirectToAnotherOriginIsRejectedWithoutSendingToken(t *testing.T) {
	t.Parallel()
	var strangers atomic.Int32
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers.Add(1) }))
	t.Cleanup(stranger.Close)
	t.Cleanup(func() { require.Zero(t, strangers.Load()) }) // after all of them
	for name, target := range map[string]func(host string) string{
		"another port":   func(string) string { return stranger.URL + "/v1/users" },
		"another host":   func(host string) string { return "http://localhost:" + host[strings.LastIndex(host, ":")+1:] },
		"another scheme": func(host string) string { return "https://" + host },
		"no scheme":      func(string) string { return "//" + strings.TrimPrefix(stranger.URL, "http://") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				w.Header().Set("Location", target(r.Host))
				w.WriteHeader(http.StatusFound)
			})
			_, err := client.Page(t.Context(), Query{}, 1)
			require.ErrorIs(t, err, ErrForeignRedirect)
			require.Equal(t, "vomo_redirect", fault.CodeOf(err))
			require.EqualValues(t, 1, requests.Load())
		})
	}
}

func TestRedirectInsideOriginIsFollowedWithQueryAfterBefore(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	var paths []string
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if r.URL.Query().Get("updated_after") == "" || r.Header.Get("Authorization") != "Bearer "+testToken {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if len(paths) <= maxRedirects {
			http.Redirect(w, r, r.URL.Path+"/x", http.StatusMovedPermanently) // this redirect loses the query
			return
		}
		write(w, wire(pageOf(r), 30))
	}, func(cfg *Config) {
		cfg.Before = func(context.Context) error { requests.Add(1); return nil }
	})
	page, err := client.Page(t.Context(), Query{UpdatedAfter: testNow}, 2)
	require.NoError(t, err)
	require.Equal(t, 2, page.Number)
	require.Equal(t, "/v1/users/x/x/x", paths[3])
	require.EqualValues(t, 4, requests.Load())
}

func TestMoreThanThreeRedirectsAreRejected(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := client.Page(t.Context(), Query{}, 1)
	require.ErrorIs(t, err, ErrTooManyRedirects)
	require.EqualValues(t, 4, requests.Load())
}

func TestOriginIsSchemeHostAndPort(t *testing.T) {
	t.Parallel()
	same := []string{"https://api.vomo.example/v1", "https://API.vomo.example:443/other?x=1"}
	other := []string{"http://api.vomo.example/v1", "https://api.vomo.example:8443", "https://vomo.example", "https://api.vomo.example.evil.example"}
	want := originOf(t, same[0])
	for _, raw := range same {
		require.Equal(t, want, originOf(t, raw))
	}
	for _, raw := range other {
		require.NotEqual(t, want, originOf(t, raw))
	}
}

func originOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return origin(u)
}
