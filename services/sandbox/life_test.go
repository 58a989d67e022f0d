package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lived is the control API's report of a script.
type lived struct {
	Lists, Added, Edited, Deleted int
	Pending                       bool
	Events                        []struct {
		After int
		What  string
		ID    int64
	}
}

func (s *fixture) life(script string) {
	s.t.Helper()
	s.control(http.MethodPut, "/orgs/acme/life", script, http.StatusNoContent)
}

func (s *fixture) lived() lived {
	s.t.Helper()
	got := s.do(http.MethodGet, "/control/orgs/acme/life", "", "")
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	var report lived
	require.NoError(s.t, json.Unmarshal([]byte(got.body), &report))
	return report
}

func ids(p userPage) []float64 {
	ids := []float64{}
	for _, u := range p.Data {
		id, _ := u.ID.(float64)
		ids = append(ids, id)
	}
	return ids
}

func TestDeletionOnAPageAlreadyReadHidesOneUserOfTheNextPage(t *testing.T) {
	t.Parallel()
	for order, unseen := range map[string]float64{"id": 1016, "newest": 1025} {
		s := newFixture(t, "-org", "acme:40", "-order", "acme:"+order)
		s.life(`{"steps":[{"after":1,"deleteAt":[3]}]}`)

		first, second := s.page("?page=1"), s.page("?page=2")
		require.Len(t, first.Data, 15)
		require.Equal(t, 40, first.Meta.Total, "the list that it comes after shows nothing of it")
		require.Equal(t, 39, second.Meta.Total)
		require.NotContains(t, append(ids(first), ids(second)...), unseen)
		require.Equal(t, int64(ids(first)[3]), s.lived().Events[0].ID)
		require.False(t, s.lived().Pending)
	}
}

func TestAdditionMovesAllUsersIfTheNewestComeFirst(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:40", "-order", "acme:newest")
	s.life(`{"steps":[{"after":1,"add":2}]}`)

	first, second := s.page("?page=1"), s.page("?page=2")
	require.Equal(t, ids(first)[13:], ids(second)[:2])
	require.Equal(t, 42, second.Meta.Total)
	added := s.page("?created_after=2026-11-20T12:00:00Z")
	require.Equal(t, []float64{1042, 1041}, ids(added), "they were created now")
	require.Equal(t, 40, s.page("?created_before=2026-11-20T11:59:59Z").Meta.Total)
}

func TestStepsRepeatAndChooseAmongTheReadOrTheUnread(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:60")
	s.life(`{"seed":7,"steps":[{"after":2,"every":2,"times":3,"delete":2,"of":"read"},{"after":1,"edit":3,"of":"unread"}]}`)
	read := map[float64]bool{}
	for page := range 4 {
		for _, id := range ids(s.page("?page=" + string(rune('1'+page)))) {
			read[id] = true
		}
		for _, event := range s.lived().Events {
			if event.After == page+1 {
				require.Equal(t, event.What == "delete", read[float64(event.ID)])
			}
		}
	}
	require.True(t, s.lived().Pending)
	s.page("?page=1")
	s.page("?page=1")
	report := s.lived()
	require.Equal(t, []int{6, 0, 3, 6}, []int{report.Lists, report.Added, report.Edited, report.Deleted})
	require.False(t, report.Pending)
	require.Equal(t, 54, s.page("").Meta.Total)
	require.Equal(t, 3, s.page("?updated_after=2026-11-20T12:00:00Z").Meta.Total, "edits count as of now")
}

func TestSameSeedDoesTheSameAndAnotherDoesNot(t *testing.T) {
	t.Parallel()
	events := func(seed string) lived {
		s := newFixture(t, "-org", "acme:200", "-life", `acme:{"seed":`+seed+`,"steps":[{"after":1,"every":1,"delete":1,"edit":1,"add":1}]}`)
		for range 5 {
			s.page("")
		}
		return s.lived()
	}
	first := events("3")
	require.Equal(t, first, events("3"))
	require.NotEqual(t, first.Events, events("4").Events)
}

func TestScriptChangesNoMissingUserAndEndsWhenCleared(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:2")
	s.life(`{"steps":[{"after":1,"every":1,"deleteAt":[0,0,5,-9],"editAt":[-1,-1],"delete":50}]}`)
	s.page("")
	require.Zero(t, s.page("").Meta.Total)
	s.control(http.MethodDelete, "/orgs/acme/life", "", http.StatusNoContent)
	s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.Equal(t, []int{1, 1}, []int{s.page("").Meta.Total, s.page("").Meta.Total})
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		s.control(method, "/orgs/acme/life", "", http.StatusNotFound)
	}
}

func TestInvalidScriptIsRejected(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:2")
	for _, step := range []string{
		`{"after":0,"add":1}`, `{"after":1}`, `{"after":1,"add":-1}`, `{"after":1,"add":10001}`, `{"after":1,"add":1,"every":-1}`,
		`{"after":1,"add":1,"times":2}`, `{"after":1,"delete":1,"of":"all"}`, `{"after":1,"edit":9223372036854775807,"delete":1}`,
	} {
		s.control(http.MethodPut, "/orgs/acme/life", `{"steps":[`+step+`]}`, http.StatusUnprocessableEntity)
	}
	s.control(http.MethodPut, "/orgs/acme/life", `{"steps":[]}`, http.StatusUnprocessableEntity)
	s.control(http.MethodPut, "/orgs/acme/life", `{"setps":[]}`, http.StatusBadRequest)
	s.control(http.MethodPut, "/orgs/unknown/life", `{"steps":[{"after":1,"add":1}]}`, http.StatusNotFound)
}

func TestImportedUsersShareOneCreatedSecond(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.control(http.MethodPost, "/orgs", `{"name":"acme","users":500,"imported":400}`, http.StatusCreated)
	all := dump[user](s, "/orgs/acme/users")
	at := all[0].CreatedAt
	require.Equal(t, 400, s.page("?created_after="+at[:19]+"Z&created_before="+at[:19]+"Z").Meta.Total)
	require.True(t, slices.IsSortedFunc(all, func(a, b user) int {
		one, _ := time.Parse(time.RFC3339, a.CreatedAt)
		other, _ := time.Parse(time.RFC3339, b.CreatedAt)
		return one.Compare(other)
	}))
	s.control(http.MethodPost, "/orgs", `{"name":"beta","users":5,"imported":6}`, http.StatusUnprocessableEntity)
}
