package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refresh asks for an access token with a refresh token.
func (s *fixture) refresh(token string) reply {
	s.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/virtuous/Token", strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := s.client.Do(request)
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, response.Body.Close()) }()
	return replyOf(s.t, response)
}

func (s *fixture) oauth(change string) map[string]any {
	s.t.Helper()
	return s.giving(http.MethodPut, "/oauth", change, http.StatusOK)
}

func TestRefreshTokenGivesAccessTokens(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{}`)
	organisation := func(key string) int {
		return s.do(http.MethodGet, "/virtuous/api/Organization/Current", "", key).status
	}

	first := s.oauth(`{}`)["refreshToken"].(string)
	got := s.refresh(first)
	require.Equal(t, http.StatusOK, got.status)
	pair := got.json(t)
	require.Equal(t, "bearer", pair["token_type"])
	require.NotEqual(t, first, pair["refresh_token"], "rotated")
	require.Equal(t, http.StatusOK, organisation(pair["access_token"].(string)))
	require.Equal(t, http.StatusOK, organisation(virtuousKey), "the API key stays good")

	got = s.refresh(first)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Equal(t, "invalid_grant", got.json(t)["error"])

	s.oauth(`{"rotates":false}`)
	for range 2 {
		got = s.refresh(pair["refresh_token"].(string))
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, pair["refresh_token"], got.json(t)["refresh_token"])
	}
	require.Equal(t, http.StatusUnauthorized, organisation(pair["access_token"].(string)), "the newest access token alone is good")
	access := got.json(t)["access_token"].(string)

	s.oauth(`{"revokeAccess":true}`)
	require.Equal(t, http.StatusUnauthorized, organisation(access))
	access = s.refresh(pair["refresh_token"].(string)).json(t)["access_token"].(string)
	s.advance(15*24*time.Hour - time.Second)
	require.Equal(t, http.StatusOK, organisation(access))
	s.advance(time.Second)
	require.Equal(t, http.StatusUnauthorized, organisation(access))

	s.oauth(`{"verification":true}`)
	got = s.refresh(pair["refresh_token"].(string))
	require.Equal(t, http.StatusAccepted, got.status)
	require.Equal(t, "awaiting_verification", got.json(t)["error"])
	s.oauth(`{"verification":false}`)
	s.advance(351 * 24 * time.Hour)
	require.Equal(t, http.StatusBadRequest, s.refresh(pair["refresh_token"].(string)).status, "a year after its last use")

	again := s.oauth(`{"newRefresh":true}`)["refreshToken"].(string)
	require.Equal(t, http.StatusOK, s.refresh(again).status)
	s.oauth(`{"revokeRefresh":true}`)
	require.Equal(t, http.StatusBadRequest, s.refresh(again).status)
	require.InDelta(t, 5, s.giving(http.MethodGet, "/oauth", "", http.StatusOK)["grants"], 0)
}
