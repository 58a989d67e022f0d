package main

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (s *fixture) givingFault(rule string) {
	s.t.Helper()
	s.control(http.MethodPost, "/faults", `{"target":"virtuous",`+rule+`}`, http.StatusCreated)
}

func TestKeyIsKnownRevokedOrForbiddenAndMayBeReplaced(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"title":"Example Relief"}`)
	s.control(http.MethodPost, "/virtuous/orgs", `{"name":"beta","key":"v_beta","settings":{"enabled":false}}`, http.StatusCreated)
	current := func(key string) reply { return s.do(http.MethodGet, "/virtuous/api/Organization/Current", "", key) }

	got := current(virtuousKey)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "Example Relief", got.json(t)["organizationName"])
	require.Equal(t, "US/Arizona", got.json(t)["organizationTimeZone"])
	require.Equal(t, true, got.json(t)["isEnabled"])
	require.NotEqual(t, got.json(t)["organizationUserId"], current("v_beta").json(t)["organizationUserId"])
	require.Equal(t, false, current("v_beta").json(t)["isEnabled"])
	s.giving(http.MethodPut, "/settings", `{"shownZone":"US Mountain Standard Time"}`, http.StatusOK)
	require.Equal(t, "US Mountain Standard Time", current(virtuousKey).json(t)["organizationTimeZone"])

	for _, key := range []string{"", "v_unknown"} {
		got = current(key)
		require.Equal(t, http.StatusUnauthorized, got.status)
		require.Equal(t, "Authorization has been denied for this request.", got.body)
	}
	s.giving(http.MethodPut, "/key", `{"state":"forbidden"}`, http.StatusOK)
	require.Equal(t, http.StatusForbidden, current(virtuousKey).status)
	s.giving(http.MethodPut, "/key", `{"key":"v_new","state":"good"}`, http.StatusOK)
	require.Equal(t, http.StatusUnauthorized, current(virtuousKey).status)
	require.Equal(t, http.StatusOK, current("v_new").status)
	s.giving(http.MethodPut, "/key", `{"state":"revoked"}`, http.StatusOK)
	require.Equal(t, http.StatusUnauthorized, current("v_new").status)
	s.giving(http.MethodPut, "/key", `{"key":"v_beta"}`, http.StatusConflict)
	s.giving(http.MethodPut, "/key", `{"state":"lost"}`, http.StatusUnprocessableEntity)
}

func TestErrorHasEachOfTheForms(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	for shape, wanted := range map[string]string{
		"documented":  `{"error":{"code":"VALIDATION_FAILED","details":[],"message":"The request is invalid."}}` + "\n",
		"two_field":   `{"error":"VALIDATION_FAILED","error_description":"The request is invalid."}` + "\n",
		"text":        `The request is invalid.`,
		"model_state": `{"message":"The request is invalid.","modelState":{}}` + "\n",
		"message":     `{"message":"The request is invalid."}` + "\n",
		"empty":       ``,
	} {
		s.givingFault(`"kind":"status","status":422,"count":1,"shape":"` + shape + `"`)
		got := s.virtuous(http.MethodGet, "/Gift/1", "")
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Equal(t, wanted, got.body)
	}
	s.givingFault(`"kind":"status","status":520,"count":1`)
	got := s.virtuous(http.MethodGet, "/Gift/1", "")
	require.Equal(t, 520, got.status)
	require.Equal(t, "cloudflare", got.header.Get("Server"))
	require.Contains(t, got.body, "error code: 520")
	s.givingFault(`"kind":"page","count":1`)
	got = s.virtuous(http.MethodPost, "/v2/Gift/Transaction", anaGives)
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, "Sign in")
	require.Empty(t, s.transactions())

	s.giving(http.MethodPut, "/settings", `{"errors":"documented"}`, http.StatusOK)
	got = s.virtuous(http.MethodPost, "/v2/Gift/Transaction", `{}`)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.NotEmpty(t, got.json(t)["error"].(map[string]any)["details"])
	for _, wrong := range []string{
		`"kind":"status","status":500,"shape":"xml"`, `"kind":"drop","shape":"text"`, `"kind":"drop","operation":"refund"`,
		`"kind":"total"`, `"kind":"same_page","page":2`, `"kind":"drop","tenant":"acme"`,
	} {
		s.control(http.MethodPost, "/faults", `{"target":"virtuous",`+wrong+`}`, http.StatusUnprocessableEntity)
	}
	s.control(http.MethodPost, "/faults", `{"target":"vomo","kind":"page"}`, http.StatusUnprocessableEntity)
}

func TestAcceptedTransactionMayLoseItsAnswer(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.givingFault(`"kind":"lost_answer","operation":"transaction","records":["don-1"]`)
	_, err := s.try(http.MethodPost, "/virtuous/api/v2/Gift/Transaction", anaGives, virtuousKey)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "held", s.transactions()["don-1"].State)
	s.submit(gives("don-2", "5.00", "bo"))
	got := s.virtuous(http.MethodGet, "/Gift/AcmeGive/don-1", "")
	require.Equal(t, http.StatusNotFound, got.status, "the rule is about another operation")
	statuses := s.control(http.MethodGet, "/report", "", http.StatusOK)["virtuous"].(map[string]any)["acme"].(map[string]any)["statuses"]
	require.Equal(t, map[string]any{"200": 1.0, "404": 1.0, "dropped": 1.0}, statuses)
}

func TestFaultsOfVirtuousMayBeAboutOneOperationOneRecordOrOneOrganisation(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.givingFault(`"kind":"status","status":500,"operation":"gift_lookup","records":["don-7"],"org":"acme"`)
	s.givingFault(`"kind":"status","status":503,"org":"beta"`)
	s.givingFault(`"kind":"latency","delayMs":1234,"operation":"contact"`)
	require.Equal(t, http.StatusInternalServerError, s.virtuous(http.MethodGet, "/Gift/AcmeGive/don-7", "").status)
	require.Equal(t, http.StatusNotFound, s.virtuous(http.MethodGet, "/Gift/AcmeGive/don-8", "").status)
	s.submit(gives("don-7", "5.00", "bo"))
	s.virtuous(http.MethodGet, "/Contact/1", "")
	require.Equal(t, []time.Duration{1234 * time.Millisecond}, s.clock.Waited())
}

func TestQuotaIsSpentByUsAndByOthersAndEndsWithItsWindow(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	ask := func() reply { return s.virtuous(http.MethodGet, "/Organization/Current", "") }
	require.Equal(t, "5000", ask().header.Get("X-Ratelimit-Limit"))

	s.giving(http.MethodPut, "/quota", `{"limit":100,"windowSeconds":100,"othersPerWindow":40}`, http.StatusOK)
	got := ask()
	require.Equal(t, "99", got.header.Get("X-Ratelimit-Remaining"))
	ends := time.Date(2026, 11, 20, 12, 1, 41, 0, time.UTC)
	require.Equal(t, strconv.FormatInt(ends.Unix(), 10), got.header.Get("X-Ratelimit-Reset"))
	require.NotEmpty(t, got.header.Get("X-Request-ID"))
	s.advance(50 * time.Second)
	require.Equal(t, "78", ask().header.Get("X-Ratelimit-Remaining"), "others spent 20, and this is the second request")

	s.giving(http.MethodPut, "/quota", `{"leave":1}`, http.StatusOK)
	require.Equal(t, http.StatusOK, ask().status)
	got = ask()
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "51", got.header.Get("Retry-After"))
	require.Equal(t, "0", got.header.Get("X-Ratelimit-Remaining"))
	require.Equal(t, "RATE_LIMITED", got.json(t)["error"].(map[string]any)["code"])
	s.advance(51 * time.Second)
	require.Equal(t, "99", ask().header.Get("X-Ratelimit-Remaining"))

	quota := s.giving(http.MethodGet, "/quota", "", http.StatusOK)
	require.InDelta(t, 1, quota["refused"], 0)
	require.InDelta(t, 6, quota["operations"].(map[string]any)["organization"], 0)
	require.InDelta(t, 3, quota["mostOurs"], 0, "the first request is outside of the interval of the last one")
	s.control(http.MethodPost, "/report/reset", "", http.StatusNoContent)
	ask()
	quota = s.giving(http.MethodGet, "/quota", "", http.StatusOK)
	require.Equal(t, map[string]any{"organization": 1.0}, quota["operations"])
	require.InDelta(t, 98, quota["remaining"], 0, "what is spent stays spent")
}

func TestQuotaHeadersHaveTheFormsOfTheDocuments(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	ask := func(quota string) http.Header {
		s.giving(http.MethodPut, "/quota", quota, http.StatusOK)
		return s.virtuous(http.MethodGet, "/Organization/Current", "").header
	}
	header := ask(`{"limit":10,"headers":"dashed","reset":"milliseconds"}`)
	require.Equal(t, "9", header.Get("X-Rate-Limit-Remaining"))
	require.Empty(t, header.Get("X-Ratelimit-Remaining"))
	require.Equal(t, strconv.FormatInt(time.Date(2026, 11, 20, 13, 0, 0, 0, time.UTC).UnixMilli()+1, 10), header.Get("X-Rate-Limit-Reset"))
	header = ask(`{"headers":"none","retryAfter":"date","spend":100}`)
	require.Empty(t, header.Get("X-Rate-Limit-Remaining"))
	require.Equal(t, "Fri, 20 Nov 2026 13:00:01 GMT", header.Get("Retry-After"))
	require.Empty(t, ask(`{"retryAfter":"none","spend":100}`).Get("Retry-After"))
	s.giving(http.MethodPut, "/quota", `{"limit":0}`, http.StatusUnprocessableEntity)
	s.giving(http.MethodPut, "/quota", `{"headers":"odd"}`, http.StatusUnprocessableEntity)
}

func TestInvalidSettingsOfVirtuousAreRejected(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	for _, settings := range []string{
		`{"zone":"Mars/Olympus"}`, `{"imports":"never"}`, `{"needsUpdatePercent":101}`, `{"runAfterMinutes":-1}`, `{"maxTake":0}`,
		`{"repeatStatus":200}`, `{"webhooks":{"loss":2}}`, `{"webhooks":{"envelope":"paper"}}`, `{"webhooks":{"batch":0}}`,
		`{"webhooks":{"header":""}}`, `{"webhooks":{"attempts":0}}`, `{"times":"nine"}`,
	} {
		s.giving(http.MethodPut, "/settings", settings, http.StatusUnprocessableEntity)
		s.control(http.MethodPost, "/virtuous/orgs", `{"name":"beta","settings":`+settings+`}`, http.StatusUnprocessableEntity)
	}
	s.giving(http.MethodPut, "/settings", `{"zoen":"UTC"}`, http.StatusBadRequest)
	s.control(http.MethodPost, "/virtuous/orgs", `{"name":"acme"}`, http.StatusConflict)
	s.control(http.MethodPost, "/virtuous/orgs", `{"name":"No Name"}`, http.StatusUnprocessableEntity)
	s.control(http.MethodGet, "/virtuous/orgs/unknown/ledger", "", http.StatusNotFound)
}
