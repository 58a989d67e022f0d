package virtuous

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

const recordedGift = `{"id":1}`

func TestStatusDecidesKindAndCodeOfFault(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status   int
		is       error
		code     string
		kind     fault.Kind
		attempts int
	}{
		{401, ErrUnauthorized, "virtuous_unauthorized", fault.KindUnknown, 1},
		{403, ErrForbidden, "virtuous_forbidden", fault.KindUnknown, 1},
		{404, ErrNotFound, "virtuous_not_found", fault.KindUnknown, 1},
		{400, ErrRejected, "virtuous_http_400", fault.KindUnknown, 1},
		{409, ErrRejected, "virtuous_http_409", fault.KindUnknown, 1},
		{422, ErrRejected, "virtuous_http_422", fault.KindUnknown, 1},
		{429, ErrThrottled, "virtuous_throttled", fault.KindThrottled, 1},
		{302, ErrRedirect, "virtuous_redirect", fault.KindUnknown, 1},
		{304, ErrRedirect, "virtuous_redirect", fault.KindUnknown, 1},
		{408, ErrTimeout, "virtuous_timeout", fault.KindUnknown, 3},
		{504, ErrTimeout, "virtuous_timeout", fault.KindUnknown, 3},
		{500, ErrUnavailable, "virtuous_5xx", fault.KindUnknown, 3},
		{503, ErrUnavailable, "virtuous_5xx", fault.KindUnknown, 3},
		{520, ErrUnavailable, "virtuous_5xx", fault.KindUnknown, 3},
	} {
		f := newFixture(t, answering(test.status, `Ana Ruiz <html>`, "X-Request-Id", "req-1"))
		_, err := f.Gift(t.Context(), 1)
		require.ErrorIs(t, err, test.is, test.status)
		require.Equal(t, test.code, fault.CodeOf(err))
		require.Equal(t, test.kind, fault.KindOf(err))
		require.Len(t, f.got(), test.attempts)
		require.Len(t, f.naps, test.attempts-1)
		require.Equal(t, "req-1", RequestID(err))
		require.ErrorContains(t, err, "req-1")
		requireDiscreet(t, err)
	}
}

func TestErrorBodiesInEveryShapeQuoteFieldsAndCodesOnly(t *testing.T) {
	t.Parallel()
	problems := map[string][]Problem{
		"validation, documented form":                    {{"amount", "MUST_BE_POSITIVE"}, {"giftDate", "REQUIRED"}},
		"ASP.NET form with modelState":                   {{"transaction.giftType", ""}},
		"the same transaction a second time":             {{"transaction", ""}},
		"email is another contact's":                     {{"", "CONFLICT"}},
		"query with an unknown parameter or operator":    {{"query.Groups[0].Conditions[0].Operator", ""}},
		"the same transaction a second time, text alone": nil,
	}
	for _, made := range madeAnswers(t) {
		if made.Status == http.StatusOK {
			continue
		}
		f := newFixture(t, made.serve)
		_, err := f.Contact(t.Context(), 99999)
		requireDiscreet(t, err, "invalid values", "must be greater", "could not be found", "is not valid", "already exists",
			"error has occurred", "Authorization has been",
			"exceeded", "520: Web", "in use by")
		require.Equal(t, problems[made.Case], Problems(err), made.Case)
		if made.Status == http.StatusTooManyRequests {
			require.Equal(t, fault.KindThrottled, fault.KindOf(err), made.Case)
		}
	}
}

func TestTextOfTheRequestIsNoFieldOrCode(t *testing.T) {
	t.Parallel()
	request := []byte(`{"contact":{"lastname":"Ruiz","firstname":"ANA"},"customFields":{"Favourite":"x"}}`)
	for answer, want := range map[string][]Problem{
		`{"error":{"details":[{"field":"Ana Ruiz","code":"ANA"},{"field":"contact.Ana","code":"REQUIRED"}]}}`: {{unknownPart, ""},
			{"contact." + unknownPart, "REQUIRED"}},
		`{"modelState":{"transaction.customFields[Favourite]":["no"]}}`: {{"transaction." + unknownPart, ""}},
		`{"modelState":{"transaction.designations[12].Code":["no"]}}`:   {{"transaction.designations[12].Code", ""}},
		`{"error":"NotFound","error_description":"Ana Ruiz"}`:           {{"", "NotFound"}},
		`{"error":"Ruiz"}`: nil, `{"error":"Ana Ruiz is not known"}`: nil, `{"error":7}`: {{"", "7"}},
		`{"error":null,"errors":{"email":["taken"]}}`: {{"email", ""}},
		`{"errors":[{"field":"amount","code":"X"},{"field":"amount","code":"TOO_LARGE"},{"field":"amount","code":"TOO_LARGE"},null,3]}`: {
			{"amount", ""}, {"amount", "TOO_LARGE"},
		},
		``: nil, `[]`: nil, `null`: nil, `"text"`: nil, `<html>`: nil, `{"error":{"code":{}}}`: nil, `{"modelState":[1]}`: nil,
		`{"error":"` + strings.Repeat("A", 100) + `"}`: nil,
	} {
		require.Equal(t, want, problemsOf([]byte(answer), request), answer)
	}
	many := map[string]any{}
	for i := range 50 {
		many[fmt.Sprintf("designations[%d]", i)] = []string{}
	}
	body, err := json.Marshal(map[string]any{"modelState": many})
	require.NoError(t, err)
	require.Len(t, problemsOf(body, nil), maxProblems)
}

func TestEveryFieldOfTheTransactionsIsKnown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"recorded/gift_transaction_request_template.json",
		"recorded/contact_transaction_request_template.json", "made/webhook_subscription.json"} {
		value, ok := document(payload(t, name))
		require.True(t, ok)
		for _, path := range pathsOf(value, "") {
			require.Equal(t, path, knownField(path), name)
		}
	}
}

func TestKeyGoesToTheOriginOnly(t *testing.T) {
	t.Parallel()
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	t.Cleanup(stranger.Close)
	for _, target := range []string{stranger.URL + "/api/Gift/1", "/api/Gift/2", "//" + strings.TrimPrefix(stranger.URL, "http://"), ""} {
		f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+testKey {
				t.Error("the key was not sent")
			}
			answering(http.StatusTemporaryRedirect, "", "Location", target)(w, r)
		})
		_, err := f.Gift(t.Context(), 1)
		require.ErrorIs(t, err, ErrRedirect)
		require.Len(t, f.got(), 1)
		requireDiscreet(t, err)
	}
}

func TestPathOfTheBaseStandsBeforeAPI(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, recordedGift))
	for base, path := range map[string]string{
		"": "/api/Gift/1", "/": "/api/Gift/1", "/virtuous": "/virtuous/api/Gift/1", "/a%20b/": "/a%20b/api/Gift/1", "/a%2Fb": "/a%2Fb/api/Gift/1",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.EscapedPath() != path {
				t.Errorf("%s instead of %s", r.URL.EscapedPath(), path)
			}
			answering(200, recordedGift)(w, r)
		}))
		t.Cleanup(server.Close)
		_, err := f.clientOf(t, server.URL+base).Gift(t.Context(), 1)
		require.NoError(t, err)
	}
}

func TestSegmentsArePercentEncoded(t *testing.T) {
	t.Parallel()
	for segment, escaped := range map[string]string{
		"don-77120": "don-77120", "Acme Give": "Acme%20Give", "a+b": "a%2Bb", "a/b": "a%2Fb", "a%b": "a%25b", "é": "%C3%A9",
		"a?b#c": "a%3Fb%23c", "a:b;c&d=e": "a%3Ab%3Bc%26d%3De",
		"...": "...", "~_.-": "~_.-", `a\b`: "a%5Cb",
	} {
		f := newFixture(t, answering(404, ""))
		_, err := f.GiftByTransaction(t.Context(), segment, segment)
		require.ErrorIs(t, err, ErrNotFound)
		require.Equal(t, "/api/Gift/"+escaped+"/"+escaped, f.got()[0].path)
	}
	f := newFixture(t, answering(404, ""))
	for _, segment := range []string{"", ".", "..", "a\nb", "a\x00", "\x7f", strings.Repeat("a", 513)} {
		_, err := f.GiftByTransaction(t.Context(), segment, "1")
		require.Equal(t, fault.KindPermanent, fault.KindOf(err))
		_, err = f.GiftByTransaction(t.Context(), "AcmeGive", segment)
		require.Equal(t, "virtuous_id_invalid", fault.CodeOf(err))
	}
	require.Empty(t, f.got())
}

func TestTooLongBodyIsAnUnknownAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"id":1,"notes":"`+strings.Repeat("x", maxBody)+`"}`))
	_, err := f.Gift(t.Context(), 1)
	require.ErrorIs(t, err, ErrUnknownAnswer)
}

func TestCutBodyIsReadAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"id":1`, "Content-Length", "1000"))
	_, err := f.Gift(t.Context(), 1)
	require.Equal(t, "virtuous_unreachable", fault.CodeOf(err))
	require.ErrorIs(t, err, ErrUnavailable)
	require.Len(t, f.got(), 3)
}

func TestNoAnswerInTimeIsATimeout(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	f := newFixture(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	}, func(cfg *Config) { cfg.Timeout, cfg.Attempts = 20*time.Millisecond, 1 })
	t.Cleanup(func() { close(released) })
	_, err := f.Gift(t.Context(), 1)
	require.ErrorIs(t, err, ErrTimeout)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, "virtuous_timeout", fault.CodeOf(err))
}

func TestEndOfTheCallersContextIsItsCause(t *testing.T) {
	t.Parallel()
	stopping := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	f := newFixture(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(stopping)
		<-r.Context().Done()
	})
	_, err := f.Gift(ctx, 1)
	require.ErrorIs(t, err, stopping)
	require.Len(t, f.got(), 1)
	_, err = f.Gift(ctx, 1)
	require.ErrorIs(t, err, stopping)
	require.Len(t, f.got(), 1, "nothing is sent afterwards")
	require.False(t, f.customer.isOpen())
}

type failingTransport struct{ err error }

func (f failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestErrorDoesNotContainTransportsText(t *testing.T) {
	t.Parallel()
	for text, err := range map[string]error{
		"gave no answer":          errors.New(`malformed HTTP response "ana.ruiz@example.org"`),
		"host name":               &net.DNSError{Name: "api.example.org"},
		"could not be connected":  &net.OpError{Op: "dial", Err: errors.New("127.0.0.1:1")},
		"closed the connection":   net.ErrClosed,
		"Virtuous gave no answer": &url.Error{Op: "Get", URL: "http://h/api/Gift/Ana", Err: errors.New("Ana")},
	} {
		f := &fixture{}
		client := f.clientOf(t, "http://127.0.0.1:1", func(cfg *Config) { cfg.Transport = failingTransport{err} })
		_, got := client.Gift(t.Context(), 1)
		require.Equal(t, "virtuous_unreachable", fault.CodeOf(got))
		requireDiscreet(t, got)
		if !errors.Is(err, net.ErrClosed) {
			require.ErrorContains(t, got, text)
		}
	}
}

func TestReadIsRepeatedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	failures := 2
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if failures--; failures >= 0 {
			answering(503, "", "Retry-After", "3")(w, r)
			return
		}
		answering(200, recordedGift)(w, r)
	})
	_, err := f.Gift(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, []time.Duration{3 * time.Second, 3 * time.Second}, f.naps, "the pause that was asked for")
	require.Equal(t, []Use{UseRead, UseRead, UseRead}, f.uses, "each attempt waits for budget")
}

func TestLongPauseIsReturnedInsteadOfWaited(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503} {
		f := newFixture(t, answering(status, "", "Retry-After", "847"))
		_, err := f.Gift(t.Context(), 1)
		after, named := fault.After(err)
		require.True(t, named)
		require.Equal(t, 847*time.Second, after)
		require.Len(t, f.got(), 1)
		require.Empty(t, f.naps)
	}
}

func TestErrorOfBeforeIsReturnedAndNothingIsSent(t *testing.T) {
	t.Parallel()
	held := errors.New("held")
	f := newFixture(t, answering(200, recordedGift), func(cfg *Config) {
		cfg.Before = func(context.Context, Use) error { return held }
	})
	_, err := f.Gift(t.Context(), 1)
	require.ErrorIs(t, err, held)
	outcome := f.SubmitGift(t.Context(), []byte(`{}`))
	require.Equal(t, Unsent, outcome.Verdict)
	require.ErrorIs(t, outcome.Err, held)
	require.Empty(t, f.got())
	require.False(t, f.customer.isOpen())
}

func TestInvalidConfigIsRejectedWithoutItsValues(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{}, {BaseURL: "https://h"}, {Key: "k"}, {BaseURL: "ftp://h", Key: "k"}, {BaseURL: "https://", Key: "k"}, {BaseURL: "https://user:secret@h", Key: "k"},
		{BaseURL: "https://h?secret", Key: "k"}, {BaseURL: "https://h#secret", Key: "k"}, {BaseURL: "https://h", Key: "secret key"},
		{BaseURL: "https://h", Key: "secret\n"},
		{BaseURL: "%zz-secret", Key: "k"}, {BaseURL: "https://h", Key: "k", Timeout: -1}, {BaseURL: "https://h", Key: "k", QueryTimeout: -1},
		{BaseURL: "https://h", Key: "k", Attempts: -1},
	} {
		_, err := New(cfg)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := New(Config{BaseURL: "https://api.virtuoussoftware.com", Key: "v_" + strings.Repeat("x", 350)})
	require.NoError(t, err)
}
