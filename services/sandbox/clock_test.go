package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// moved moves the sandbox's clock and returns what it then shows.
func (s *fixture) moved(move string) (now string, offset float64) {
	s.t.Helper()
	shown := s.control(http.MethodPut, "/clock", move, http.StatusOK)
	require.Equal(s.t, shown, s.control(http.MethodGet, "/clock", "", http.StatusOK))
	now, _ = shown["now"].(string)
	offset, _ = shown["offsetSeconds"].(float64)
	return now, offset
}

func TestClockShowsTheRealTimeUntilItIsMovedAndRunsOnFromThere(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	shown := s.control(http.MethodGet, "/clock", "", http.StatusOK)
	require.Equal(t, map[string]any{"now": "2026-11-20T12:00:00Z", "offsetSeconds": 0.0}, shown)

	for _, c := range []struct {
		move, now string
		offset    float64
	}{
		{`{"offsetSeconds":3600}`, "2026-11-20T13:00:00Z", 3600},
		{`{"offsetSeconds":60}`, "2026-11-20T12:01:00Z", 60},
		{`{"advanceSeconds":0.25}`, "2026-11-20T12:01:00.25Z", 60.25},
		{`{"advanceSeconds":-120.25}`, "2026-11-20T11:59:00Z", -60},
		{`{"offsetSeconds":-1.5}`, "2026-11-20T11:59:58.5Z", -1.5},
		{`{"offsetSeconds":0}`, "2026-11-20T12:00:00Z", 0},
		{`{"advanceSeconds":86400}`, "2026-11-21T12:00:00Z", 86400},
	} {
		now, offset := s.moved(c.move)
		require.Equal(t, c.now, now, c.move)
		require.InDelta(t, c.offset, offset, 0, c.move)
	}
	s.clock.Advance(90 * time.Second)
	require.Equal(t, "2026-11-21T12:01:30Z", s.control(http.MethodGet, "/clock", "", http.StatusOK)["now"])
}

func TestInvalidMoveOfTheClockIsRejectedAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.moved(`{"offsetSeconds":3000000000}`)
	for move, status := range map[string]int{
		``: http.StatusUnprocessableEntity, `{}`: http.StatusUnprocessableEntity, `{"offsetSeconds":null}`: http.StatusUnprocessableEntity,
		`{"offsetSeconds":1,"advanceSeconds":1}`: http.StatusUnprocessableEntity,
		`{"offsetSeconds":-1e300}`:               http.StatusUnprocessableEntity,
		`{"advanceSeconds":3e9}`:                 http.StatusUnprocessableEntity,
		`{"offsetSeconds":"1h"}`:                 http.StatusBadRequest,
		`{"offset":1}`:                           http.StatusBadRequest,
	} {
		s.control(http.MethodPut, "/clock", move, status)
	}
	require.InDelta(t, 3e9, s.control(http.MethodGet, "/clock", "", http.StatusOK)["offsetSeconds"], 0)
}

func TestEveryChangeOfAUserIsDatedByTheClock(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	s.moved(`{"advanceSeconds":86400}`)
	const tomorrow = "2026-11-21T12:00:00+00:00"

	require.Equal(t, tomorrow, s.control(http.MethodPut, "/orgs/acme/users/1001", "", http.StatusOK)["updated_at"])
	require.Equal(t, tomorrow, s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)["created_at"])
	upserted, _ := s.vomo(http.MethodPost, "/users", newUser).json(t)["data"].(map[string]any)
	require.Equal(t, tomorrow, upserted["created_at"])
	s.life(`{"steps":[{"after":1,"editAt":[1],"add":1}]}`)
	s.page("")
	require.Equal(t, 5, s.page("?updated_after=2026-11-21T12:00:00Z&updated_before=2026-11-21T12:00:00Z").Meta.Total, "both ends are in")
	require.Zero(t, s.page("?updated_after=2026-11-21T12:00:01Z").Meta.Total)

	s.moved(`{"offsetSeconds":-86400}`)
	require.Equal(t, "2026-11-19T12:00:00+00:00", s.control(http.MethodPut, "/orgs/acme/users/1001", "", http.StatusOK)["updated_at"])
	require.Equal(t, 19, s.page("?updated_before=2026-11-19T12:00:00Z").Meta.Total)
	require.Equal(t, 5, s.page("?updated_after=2026-11-19T12:00:00Z").Meta.Total)
}

func TestAnswersOfVOMOAndTheCRMAreDatedByTheClock(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	s.moved(`{"offsetSeconds":-3600.5}`)
	const dated = "Fri, 20 Nov 2026 10:59:59 GMT"

	for _, got := range []reply{
		s.page0(),
		s.vomo(http.MethodGet, "/nothing", ""),
		s.do(http.MethodGet, "/vomo/v1/users", "", "unknown"),
		s.do(http.MethodGet, "/vomo/v2/users", "", ""),
		s.do(http.MethodPut, "/crm/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), ""),
		s.do(http.MethodPost, "/crm/acme/users:batchUpsert", `{"users":[]}`, ""),
	} {
		require.Equal(t, []string{dated}, got.header["Date"])
	}
	s.fault(`{"target":"vomo","kind":"status","status":429,"retryAfter":"http-date","count":1}`)
	require.Equal(t, "Fri, 20 Nov 2026 11:00:01 GMT", s.page0().header.Get("Retry-After"), "it goes with the Date")
	for _, kind := range []string{`"slow_body","delayMs":1`, `"endless_body"`, `"cut_body"`} {
		s.fault(`{"target":"vomo","kind":` + kind + `,"count":1}`)
		require.Equal(t, dated, s.head("/vomo/v1/users").Get("Date"), kind)
	}
}

// page0 reads acme's first page with any status.
func (s *fixture) page0() reply { s.t.Helper(); return s.vomo(http.MethodGet, "/users", "") }

// head reads the status and the header of an answer.
func (s *fixture) head(path string) http.Header {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, strings.NewReader(""))
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer sandbox-acme-token")
	response, err := s.client.Do(request)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response.Header
}

func TestTrafficAndFaultsMeasureTheRealTime(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20", "-latency", "50ms")
	began := s.clock.Now()
	s.fault(`{"target":"vomo","kind":"status","status":503,"seconds":30}`)
	for range 4 { // two hours pass for VOMO, and none in truth
		require.Equal(t, http.StatusServiceUnavailable, s.page0().status)
		s.moved(`{"advanceSeconds":1800}`)
	}
	s.clock.Advance(30 * time.Second)
	require.Equal(t, http.StatusOK, s.page0().status)

	seen := s.report().VOMO["acme"]
	require.Equal(t, []int{4, 5}, []int{seen.MaxPerSecond, seen.MaxPerMinute})
	require.Equal(t, []time.Time{began, began.Add(30 * time.Second)}, []time.Time{seen.FirstAt, seen.LastAt})
	require.Len(t, s.clock.Waited(), 5)
	require.Equal(t, 50*time.Millisecond, s.clock.Waited()[4])
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	require.ErrorIs(t, wait(gone, time.Hour), context.Canceled)
	require.NoError(t, wait(t.Context(), time.Nanosecond))
}
