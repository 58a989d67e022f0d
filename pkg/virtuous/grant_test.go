package virtuous

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

const testRefresh = "refresh+token/that=must-not-show"

// grantOfServer asks a server for an access token.
func grantOfServer(t *testing.T, handler http.HandlerFunc) (*fixture, Grant, error) {
	t.Helper()
	f := newFixture(t, handler)
	grant, err := Refresh(t.Context(), Config{BaseURL: f.base.String(), Transport: f.http.Transport, Timeout: time.Second}, testRefresh)
	return f, grant, err
}

func TestRefreshSendsTheTokenAsAFormBesideTheAPI(t *testing.T) {
	t.Parallel()
	f, grant, err := grantOfServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		answering(http.StatusOK, `{"access_token":"a","token_type":"bearer","expires_in":1295999,"refresh_token":"r"}`)(w, r)
	})
	require.NoError(t, err)
	require.Equal(t, []request{{"POST", "/Token", "", "grant_type=refresh_token&refresh_token=refresh%2Btoken%2Fthat%3Dmust-not-show"}}, f.got())
	require.Equal(t, Grant{Access: "a", Refresh: "r", IsRotated: true, Life: 1295999 * time.Second}, grant)
	require.Equal(t, 1295999*time.Second-24*time.Hour, grant.RefreshAfter())
	require.Equal(t, 54*time.Minute, Grant{Life: time.Hour}.RefreshAfter())
}

// The answers of token_replies.json are in the form that public clients of Virtuous expect.
func TestKnownAnswersToARefreshAreRead(t *testing.T) {
	t.Parallel()
	var answers []struct {
		Case   string
		Status int
		Body   json.RawMessage
	}
	require.NoError(t, json.Unmarshal(payload(t, "made/token_replies.json"), &answers))
	require.Len(t, answers, 2)
	_, grant, err := grantOfServer(t, answering(answers[0].Status, string(answers[0].Body)))
	require.NoError(t, err)
	require.Equal(t, Grant{Access: "new_access_token", Refresh: "new_refresh_token", IsRotated: true, Life: 1295999 * time.Second}, grant)
	_, _, err = grantOfServer(t, answering(answers[1].Status, string(answers[1].Body)))
	require.ErrorIs(t, err, ErrVerification)
}

func TestRefreshTakesEveryFormOfAnAnswer(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for body, want := range map[string]Grant{
		`{"access_token":"a"}`:                                                      {Access: "a", Refresh: testRefresh, Life: day},
		`{"access_token":"a","refresh_token":""}`:                                   {Access: "a", Refresh: testRefresh, Life: day},
		`{"access_token":"a","refresh_token":null,"expires_in":"3600"}`:             {Access: "a", Refresh: testRefresh, Life: time.Hour},
		`{"access_token":"a","refresh_token":"` + testRefresh + `","expires_in":0}`: {Access: "a", Refresh: testRefresh, Life: day},
		`{"access_token":"a","token_type":"Bearer","expires_in":1e99}`:              {Access: "a", Refresh: testRefresh, Life: longestLife},
		`{"access_token":"a","expires_in":-5}`:                                      {Access: "a", Refresh: testRefresh, Life: day},
		`{"access_token":"a","expires_in":1}`:                                       {Access: "a", Refresh: testRefresh, Life: time.Minute},
		`{"access_token":"a","expires_in":"soon"}`:                                  {Access: "a", Refresh: testRefresh, Life: day},
		"\ufeff" + `{"access_token":"a",".issued":"Thu, 10 Feb 2022 22:00:00 GMT",".expires":"Fri, 11 Feb 2022 00:00:00 GMT"}`: {
			Access: "a", Refresh: testRefresh, Life: 2 * time.Hour,
		},
	} {
		_, grant, err := grantOfServer(t, answering(http.StatusOK, body))
		require.NoError(t, err, body)
		require.Equal(t, want, grant, body)
	}
}

func TestAnswersWithoutATokenAreNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		body   string
		is     error
		code   string
	}{
		{200, ``, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `<html>Ana</html>`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `["s3cret"]`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{"access_token":""}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{"access_token":5}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{"access_token":"s3cret\r\nX: y"}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{"access_token":"s3cret","refresh_token":{"a":1}}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{"access_token":"s3cret","refresh_token":"s3c ret"}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{"access_token":"s3cret","token_type":"mac"}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{"access_token":"` + strings.Repeat("s", maxGrant+1) + `"}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{200, `{"access_token":"s3cret"`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{201, `{"access_token":"s3cret"}`, ErrUnknownAnswer, "virtuous_unknown_answer"},
		{202, ``, ErrVerification, "virtuous_awaiting_verification"},
		{202, `{"error":"awaiting_verification"}`, ErrVerification, "virtuous_awaiting_verification"},
		{200, `{"error":"awaiting_verification"}`, ErrVerification, "virtuous_awaiting_verification"},
		{400, `{"error":"AWAITING_VERIFICATION"}`, ErrVerification, "virtuous_awaiting_verification"},
		{400, `{"error":"invalid_grant","error_description":"s3cret"}`, ErrRefreshRefused, "virtuous_refresh_refused"},
		{400, `{"error":"invalid_client"}`, ErrRefreshRefused, "virtuous_refresh_refused"},
		{401, ``, ErrRefreshRefused, "virtuous_refresh_refused"},
		{400, `{"error":"s3cret"}`, ErrRejected, "virtuous_http_400"},
		{400, `<html>`, ErrRejected, "virtuous_http_400"},
		{302, ``, ErrRedirect, "virtuous_redirect"},
		{403, `s3cret`, ErrForbidden, "virtuous_forbidden"},
		{404, ``, ErrNotFound, "virtuous_not_found"},
		{429, ``, ErrThrottled, "virtuous_throttled"},
		{500, `{"error":"invalid_grant"}`, ErrUnavailable, "virtuous_5xx"},
		{503, `<html>`, ErrUnavailable, "virtuous_5xx"},
		{504, ``, ErrTimeout, "virtuous_timeout"},
	} {
		f, _, err := grantOfServer(t, answering(test.status, test.body))
		require.ErrorIs(t, err, test.is, test.body)
		require.Equal(t, test.code, fault.CodeOf(err), test.body)
		require.Equal(t, errors.Is(test.is, ErrUnauthorized), errors.Is(err, ErrUnauthorized), test.body)
		require.Len(t, f.got(), 1, "one attempt")
		requireDiscreet(t, err, "s3cret", testRefresh, "refresh%2Btoken")
	}
	_, _, err := grantOfServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	require.ErrorIs(t, err, ErrUnavailable)
	requireDiscreet(t, err, testRefresh, "refresh%2Btoken")
	_, err = Refresh(t.Context(), Config{BaseURL: "http://virtuous.test"}, "s3c ret")
	requireDiscreet(t, err, "s3c ret")
}

// accepting answers 401 unless the request has this key.
func accepting(key string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key {
			answering(http.StatusUnauthorized, "")(w, r)
			return
		}
		answering(http.StatusOK, recordedGift)(w, r)
	}
}

func TestRejectedRequestIsSentAgainWithTheRenewedKey(t *testing.T) {
	t.Parallel()
	var renewals []string
	renew := func(_ context.Context, rejected string) (string, error) {
		renewals = append(renewals, rejected)
		return "next", nil
	}
	f := newFixture(t, accepting("next"), func(c *Config) { c.Renew = renew })
	outcome := f.SubmitGift(t.Context(), []byte(`{}`))
	require.Equal(t, Accepted, outcome.Verdict)
	require.Equal(t, []Use{UseSubmit, UseSubmit}, f.uses, "the second request, too, is in the budget, and the lease is looked at")
	_, err := f.Gift(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, []string{testKey}, renewals)
	require.Len(t, f.got(), 3)
}

func TestRejectionStandsWithoutAnotherKey(t *testing.T) {
	t.Parallel()
	for name, renew := range map[string]func(context.Context, string) (string, error){
		"an API key":         nil,
		"there is no other":  func(_ context.Context, rejected string) (string, error) { return rejected, nil },
		"the other is no go": func(context.Context, string) (string, error) { return "other", nil },
	} {
		f := newFixture(t, accepting("next"), func(c *Config) { c.Renew = renew })
		require.Equal(t, Unauthorized, f.SubmitGift(t.Context(), []byte(`{}`)).Verdict, name)
		require.LessOrEqual(t, len(f.got()), 2, name)
	}
	f := newFixture(t, accepting("next"), func(c *Config) {
		c.Renew = func(context.Context, string) (string, error) { return "", fault.Unknown("outage", ErrUnavailable) }
	})
	outcome := f.SubmitGift(t.Context(), []byte(`{}`))
	require.Equal(t, Unsent, outcome.Verdict, "nothing is known of the key")
	require.False(t, outcome.MayBeAccepted)
	require.ErrorIs(t, outcome.Err, ErrUnavailable)
}
