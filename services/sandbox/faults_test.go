package main

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fault sets a fault and returns its id.
func (s *fixture) fault(rule string) string {
	s.t.Helper()
	id, _ := s.control(http.MethodPost, "/faults", rule, http.StatusCreated)["id"].(string)
	require.NotEmpty(s.t, id)
	return id
}

func TestThrottlingComesWithOrWithoutRetryAfter(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	for _, c := range []struct{ given, want string }{
		{"", ""}, {"2", "2"}, {"soon", "soon"}, {"http-date", "Fri, 20 Nov 2026 12:00:02 GMT"},
	} {
		s.fault(`{"target":"vomo","org":"acme","kind":"status","status":429,"retryAfter":"` + c.given + `","count":1}`)
		got := s.vomo(http.MethodGet, "/users", "")
		require.Equal(t, http.StatusTooManyRequests, got.status)
		require.Equal(t, c.want, got.header.Get("Retry-After"))
		require.JSONEq(t, `{"message":"Too Many Requests"}`, got.body)
		require.Equal(t, http.StatusOK, s.vomo(http.MethodGet, "/users", "").status, "the count has run out")
	}
}

func TestOutageEndsAfterItsTime(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.fault(`{"target":"crm","kind":"status","status":503,"seconds":30}`)
	put := func() int {
		return s.do(http.MethodPut, "/crm/acme/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "").status
	}

	require.Equal(t, 503, put())
	s.clock.Advance(30*time.Second - time.Nanosecond)
	require.Equal(t, 503, put())
	require.Empty(t, dump[stored](s, "/crm/acme/users"), "nothing is stored meanwhile")
	s.clock.Advance(time.Nanosecond)
	require.Equal(t, 201, put())
	require.Equal(t, 2, s.report().CRM["acme"].Refused)
}

func TestFaultAppliesOnlyToItsTarget(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1", "-org", "beta:1")
	s.fault(`{"target":"vomo","org":"beta","kind":"status","status":500}`)
	s.fault(`{"target":"crm","tenant":"acme","kind":"status","status":422,"code":"bad_phone","records":["vomo-2","vomo-3"]}`)

	require.Equal(t, 200, s.vomo(http.MethodGet, "/users", "").status)
	got := s.do(http.MethodGet, "/vomo/v1/users", "", "sandbox-beta-token")
	require.Equal(t, 500, got.status)
	require.JSONEq(t, `{"message":"Server Error"}`, got.body)

	for _, c := range []struct {
		tenant, id string
		status     int
	}{{"acme", "vomo-1", 201}, {"acme", "vomo-2", 422}, {"acme", "vomo-3", 422}, {"beta", "vomo-2", 201}} {
		got := s.do(http.MethodPut, "/crm/"+c.tenant+"/users/"+c.id, record(c.id, "2026-02-01T00:00:00Z"), "")
		require.Equal(t, c.status, got.status, c)
		if c.status == 422 {
			require.Equal(t, "bad_phone", got.json(t)["code"])
		}
	}
}

func TestDroppedConnectionGivesNoAnswer(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	s.fault(`{"target":"vomo","kind":"drop"}`)
	s.fault(`{"target":"crm","kind":"drop","count":1}`)

	_, err := s.try(http.MethodGet, "/vomo/v1/users", "", "sandbox-acme-token")
	require.Error(t, err)
	_, err = s.try(http.MethodPut, "/crm/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
	require.Error(t, err)
	require.Equal(t, map[string]int{"dropped": 1}, s.report().VOMO["acme"].Statuses)
	require.Equal(t, 1, s.report().CRM["_default"].Refused)
	require.Empty(t, dump[stored](s, "/crm/_default/users"))
}

func TestBrokenBodyIsA200ThatDoesNotParse(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	s.fault(`{"target":"vomo","kind":"broken_body"}`)
	s.fault(`{"target":"crm","kind":"broken_body"}`)

	for _, got := range []reply{
		s.vomo(http.MethodGet, "/users", ""),
		s.do(http.MethodPut, "/crm/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), ""),
	} {
		require.Equal(t, http.StatusOK, got.status)
		require.NotEmpty(t, got.body)
		require.NotRegexp(t, `}$`, got.body)
	}
	require.Zero(t, s.report().VOMO["acme"].Pages)
	require.Equal(t, 1, s.report().VOMO["acme"].Statuses["broken_body"])
}

func TestRevokedFaultLooksLikeAnUnknownToken(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	id := s.fault(`{"target":"vomo","org":"acme","kind":"revoked"}`)

	got := s.vomo(http.MethodGet, "/users", "")
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.JSONEq(t, `{"message":"Unauthenticated."}`, got.body)
	s.control(http.MethodDelete, "/faults/"+id, "", http.StatusNoContent)
	require.Equal(t, http.StatusOK, s.vomo(http.MethodGet, "/users", "").status)
}

func TestDelaysAddUpAndTheAnswerStillComes(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1", "-latency", "50ms")
	s.fault(`{"target":"vomo","kind":"latency","delayMs":200,"count":1}`)

	require.Equal(t, http.StatusOK, s.vomo(http.MethodGet, "/users", "").status)
	require.Equal(t, http.StatusOK, s.vomo(http.MethodGet, "/users", "").status)
	s.do(http.MethodDelete, "/crm/users/vomo-1", "", "")
	require.Equal(t, []time.Duration{250 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond}, s.clock.Waited())
}

func TestFaultWithAProbabilityAppliesToTheSameRequestsOnEveryRun(t *testing.T) {
	t.Parallel()
	outcomes := func(seed string) (outcomes []int) {
		s := newFixture(t, "-org", "acme:1", "-seed", seed)
		s.fault(`{"target":"vomo","kind":"status","status":502,"probability":0.3}`)
		for range 60 {
			outcomes = append(outcomes, s.vomo(http.MethodGet, "/users", "").status)
		}
		return outcomes
	}

	first := outcomes("7")
	require.Equal(t, first, outcomes("7"))
	require.NotEqual(t, first, outcomes("8"))
	require.Contains(t, first, 200)
	require.Contains(t, first, 502)
}

func TestFaultsAreListedWithTheirHitsAndCleared(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1", "-fault", `{"target":"vomo","kind":"status","status":500,"count":2}`)
	for range 3 {
		s.vomo(http.MethodGet, "/users", "")
	}

	listed, _ := s.control(http.MethodGet, "/faults", "", http.StatusOK)["faults"].([]any)
	require.Len(t, listed, 1)
	entry, _ := listed[0].(map[string]any)
	require.EqualValues(t, 2, entry["hits"])
	require.Equal(t, false, entry["active"])
	require.EqualValues(t, 500, entry["status"])

	s.fault(`{"target":"vomo","kind":"drop"}`)
	s.control(http.MethodDelete, "/faults", "", http.StatusNoContent)
	require.Equal(t, []any{}, s.control(http.MethodGet, "/faults", "", http.StatusOK)["faults"])
	require.Equal(t, 200, s.vomo(http.MethodGet, "/users", "").status)
	s.control(http.MethodDelete, "/faults/fault-1", "", http.StatusNotFound)
}

func TestInvalidFaultIsRejected(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, rule := range []string{
		``, `{}`, `{"target":"moon","kind":"drop"}`, `{"target":"vomo","kind":"gremlin"}`, `{"target":"vomo","kind":"status"}`,
		`{"target":"vomo","kind":"status","status":200}`, `{"target":"vomo","kind":"drop","status":500}`, `{"target":"vomo","kind":"latency"}`,
		`{"target":"vomo","kind":"latency","delayMs":600001}`, `{"target":"vomo","tenant":"acme","kind":"drop"}`,
		`{"target":"crm","kind":"drop","org":"acme"}`, `{"target":"crm","kind":"drop","probability":2}`,
		`{"target":"crm","kind":"drop","count":-1}`, `{"target":"crm","kind":"drop","seconds":-1}`,
		`{"target":"crm","kind":"status","status":429,"retryAfter":"2\r\nX-Other: 1"}`,
	} {
		s.control(http.MethodPost, "/faults", rule, http.StatusUnprocessableEntity)
	}
	s.control(http.MethodPost, "/faults", `{"target":"crm","kind":"drop","cuont":1}`, http.StatusBadRequest)
	s.control(http.MethodPost, "/faults", `not JSON`, http.StatusBadRequest)
}

func TestAtMostAThousandFaultsExistAndEndedOnesAreReplaced(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	s.fault(`{"target":"vomo","kind":"status","status":500,"count":1}`)
	for i := range 999 {
		s.fault(fmt.Sprintf(`{"target":"crm","kind":"drop","records":["vomo-%d"]}`, i))
	}
	s.control(http.MethodPost, "/faults", `{"target":"crm","kind":"drop"}`, http.StatusUnprocessableEntity)
	require.Equal(t, 500, s.vomo(http.MethodGet, "/users", "").status)
	s.fault(`{"target":"crm","kind":"drop"}`)
}

func TestSlowBodyArrivesByteByByteAndComplete(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	honest := s.vomo(http.MethodGet, "/users", "").body
	s.fault(`{"target":"vomo","kind":"slow_body","delayMs":20,"count":1}`)

	require.Equal(t, honest, s.vomo(http.MethodGet, "/users", "").body)
	require.Len(t, s.clock.Waited(), len(honest))
	require.Equal(t, 20*time.Millisecond, s.clock.Waited()[0])
}

func TestBodyCutInItsMiddleIsAnErrorThoughTheWriteWasDone(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.fault(`{"target":"crm","kind":"cut_body","count":1}`)

	_, err := s.try(http.MethodPut, "/crm/acme/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, dump[stored](s, "/crm/acme/users"), 1)
	require.Equal(t, map[string]int{"broken_body": 1}, s.report().CRM["acme"].Statuses)
}

func TestEndlessBodyContinuesUntilTheClientStopsReading(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	s.fault(`{"target":"vomo","kind":"endless_body"}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/vomo/v1/users", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer sandbox-acme-token")
	response, err := s.client.Do(request)
	require.NoError(t, err)
	require.EqualValues(t, -1, response.ContentLength)

	read, err := io.CopyN(io.Discard, response.Body, 20<<20)
	require.NoError(t, err)
	require.EqualValues(t, 20<<20, read)
	require.NoError(t, response.Body.Close()) // the server's end waits for the handler, which therefore has ended
}

func TestFaultOfOneUserLeavesListsAndOtherUsersAlone(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	users := s.page("").Data
	id, other := fmt.Sprint(users[3].ID), fmt.Sprint(users[4].ID)
	s.fault(fmt.Sprintf(`{"target":"vomo","org":"acme","kind":"status","status":403,"records":[%q]}`, id))
	require.Equal(t, http.StatusForbidden, s.vomo(http.MethodGet, "/users/"+id, "").status)
	require.Equal(t, http.StatusOK, s.vomo(http.MethodGet, "/users/"+other, "").status)
	require.Len(t, s.page("").Data, 15)
}
