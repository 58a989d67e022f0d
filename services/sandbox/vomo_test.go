package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFollowingTheLinksYieldsEveryUserOnceInPagesOf15(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:47")

	seen := map[any]bool{}
	sizes := []int{}
	for next := s.url + "/vomo/v1/users"; next != ""; {
		page := s.page(strings.TrimPrefix(next, s.url+"/vomo/v1/users"))
		sizes = append(sizes, len(page.Data))
		for _, u := range page.Data {
			seen[u.ID] = true
		}
		next = ""
		if page.Links.Next != nil {
			next = *page.Links.Next
		}
	}

	require.Equal(t, []int{15, 15, 15, 2}, sizes)
	require.Len(t, seen, 47)
}

func TestPageHasLaravelsShape(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:47")

	first := s.page("")
	require.Equal(t, s.url+"/vomo/v1/users?page=1", first.Links.First)
	require.Equal(t, s.url+"/vomo/v1/users?page=4", first.Links.Last)
	require.Nil(t, first.Links.Prev)
	require.Equal(t, s.url+"/vomo/v1/users?page=2", *first.Links.Next)
	require.Equal(t, s.url+"/vomo/v1/users", first.Meta.Path)
	require.Equal(t, 15, first.Meta.PerPage)
	require.Equal(t, 47, first.Meta.Total)

	last := s.page("?page=4")
	require.Equal(t, s.url+"/vomo/v1/users?page=3", *last.Links.Prev)
	require.Nil(t, last.Links.Next)
	require.Equal(t, 46, *last.Meta.From)
	require.Equal(t, 47, *last.Meta.To)

	raw := s.vomo(http.MethodGet, "/users?page=4", "").body
	require.Contains(t, raw, `"next":null`)
	require.Regexp(t, `"created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"`, raw)
}

func TestPageAfterTheEndIsEmpty(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:47")

	for _, query := range []string{"?page=5", "?page=9223372036854775807"} {
		got := s.vomo(http.MethodGet, "/users"+query, "")
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, got.body, `"data":[]`)
		require.Contains(t, got.body, `"from":null,"to":null`)
		require.Contains(t, got.body, `"total":47`)
	}
}

func TestInvalidPageNumberReturnsTheFirstPage(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:47")

	for _, query := range []string{"?page=0", "?page=-3", "?page=rubbish", "?page=", "?per_page=100", "?page=99999999999999999999"} {
		page := s.page(query)
		require.Equal(t, 1, page.Meta.CurrentPage, query)
		require.Len(t, page.Data, 15, query)
	}
}

func TestFiltersCombineAndAreRepeatedInTheLinks(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:2000")
	all := dump[user](s, "/orgs/acme/users")

	// Both limits are times that users have, so these users must be included.
	from, to := all[1200].UpdatedAt, all[1500].CreatedAt
	query := url.Values{"name_like": {"AN"}, "email_like": {"@Example.org"}, "updated_after": {from}, "created_before": {to}}
	want := []any{}
	for _, u := range all {
		if strings.Contains(strings.ToLower(u.FullName), "an") && u.Email != nil &&
			strings.Contains(strings.ToLower(*u.Email), "@example.org") && u.UpdatedAt >= from && u.CreatedAt <= to {
			want = append(want, u.ID)
		}
	}
	require.Greater(t, len(want), 15, "the test needs more than one page")

	got := []any{}
	for next := "?" + query.Encode(); next != ""; {
		page := s.page(next)
		require.Equal(t, len(want), page.Meta.Total)
		for _, u := range page.Data {
			got = append(got, u.ID)
		}
		next = ""
		if page.Links.Next != nil {
			next = strings.TrimPrefix(*page.Links.Next, s.url+"/vomo/v1/users")
		}
	}
	require.Equal(t, want, got)
}

func TestTimeFiltersIncludeBothEndsAndTakeDates(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:300")
	all := dump[user](s, "/orgs/acme/users")
	at := all[150].UpdatedAt
	count := func(keep func(u user) bool) int {
		n := 0
		for _, u := range all {
			if keep(u) {
				n++
			}
		}
		return n
	}
	total := func(pairs ...string) int {
		query := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			query.Set(pairs[i], pairs[i+1])
		}
		return s.page("?" + query.Encode()).Meta.Total
	}
	parsed, err := time.Parse(time.RFC3339, at)
	require.NoError(t, err)

	sameSecond := count(func(u user) bool { return u.UpdatedAt == at })
	require.Equal(t, sameSecond, total("updated_after", at, "updated_before", at))
	zulu := parsed.Format("2006-01-02T15:04:05.000Z")
	require.Equal(t, sameSecond, total("updated_after", zulu, "updated_before", zulu))
	require.Zero(t, total("updated_after", parsed.Format("2006-01-02T15:04:05.5Z"), "updated_before", at))
	elsewhere := parsed.In(time.FixedZone("", -7*3600)).Format(time.RFC3339)
	require.Equal(t, sameSecond, total("updated_after", elsewhere, "updated_before", elsewhere))

	day := at[:len(time.DateOnly)]
	require.Equal(t, count(func(u user) bool { return u.UpdatedAt >= day }), total("updated_after", day))
	require.Equal(t, count(func(u user) bool { return strings.HasPrefix(u.UpdatedAt, day) }), total("updated_after", day, "updated_before", day))
	require.Equal(t, count(func(u user) bool { return u.CreatedAt <= at }), total("created_before", at))
}

func TestInvalidDateOfAFilterIsRejectedByField(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:3")

	got := s.vomo(http.MethodGet, "/users?updated_after=yesterday", "")
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.JSONEq(t, `{"message":"The given data was invalid.","errors":{"updated_after":["The updated after is not a valid date."]}}`, got.body)
}

func TestUnknownMissingAndRevokedTokensAreRejected(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:3", "-org", "other:3:chosen")

	for _, token := range []string{"", "unknown", "sandbox-other-token"} {
		got := s.do(http.MethodGet, "/vomo/v1/users", "", token)
		require.Equal(t, http.StatusUnauthorized, got.status)
		require.JSONEq(t, `{"message":"Unauthenticated."}`, got.body)
	}
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/vomo/v1/users", "", "chosen").status)

	s.control(http.MethodPost, "/orgs/acme/revoke", "", http.StatusNoContent)
	require.Equal(t, http.StatusUnauthorized, s.vomo(http.MethodGet, "/users", "").status)
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/vomo/v1/users", "", "chosen").status)
	s.control(http.MethodPost, "/orgs/acme/restore", "", http.StatusNoContent)
	require.Equal(t, http.StatusOK, s.vomo(http.MethodGet, "/users", "").status)
}

func TestDetailReturnsAUserOr404(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:3")

	got := s.vomo(http.MethodGet, "/users/1002", "")
	require.Equal(t, http.StatusOK, got.status)
	data, _ := got.json(t)["data"].(map[string]any)
	require.EqualValues(t, 1002, data["id"])
	require.Equal(t, []any{}, data["participations"])
	require.Equal(t, []any{}, data["profile_field_values"])

	for _, path := range []string{"/users/1004", "/users/none", "/groups"} {
		missing := s.vomo(http.MethodGet, path, "")
		require.Equal(t, http.StatusNotFound, missing.status)
		require.JSONEq(t, `{"message":"Resource not found."}`, missing.body)
	}

	s.control(http.MethodDelete, "/orgs/acme/users/1002", "", http.StatusNoContent)
	require.Equal(t, http.StatusNotFound, s.vomo(http.MethodGet, "/users/1002", "").status)
	require.Equal(t, 2, s.page("").Meta.Total)
}

func TestIDsHaveTheFormOfTheOrganisation(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for form, want := range map[string][]any{
		"int": {1001.0, 1002.0}, "string": {"1001", "1002"}, "mixed": {"1001", 1002.0},
	} {
		s.control(http.MethodPost, "/orgs", `{"name":"org-`+form+`","users":2,"ids":"`+form+`"}`, http.StatusCreated)
		users := dump[user](s, "/orgs/org-"+form+"/users")
		require.Equal(t, want, []any{users[0].ID, users[1].ID}, form)
	}
}

func TestOrganisationMayListTheNewestFirst(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.control(http.MethodPost, "/orgs", `{"name":"acme","users":40,"order":"newest"}`, http.StatusCreated)

	page := s.page("")
	require.EqualValues(t, 1040, page.Data[0].ID)
	require.EqualValues(t, 1026, page.Data[14].ID)
	require.EqualValues(t, 1001, s.page("?page=3").Data[9].ID)
}

// listed returns the ids of the whole list, page by page.
func (s *fixture) listed() []float64 {
	s.t.Helper()
	all := []float64{}
	for number := 1; ; number++ {
		page := s.page(fmt.Sprintf("?page=%d", number))
		all = append(all, ids(page)...)
		if page.Links.Next == nil {
			return all
		}
	}
}

// oldestUpdateFirst returns the ids in the order that the list should have.
func (s *fixture) oldestUpdateFirst() []float64 {
	s.t.Helper()
	all := dump[user](s, "/orgs/acme/users")
	slices.SortFunc(all, func(a, b user) int {
		return cmp.Or(cmp.Compare(a.UpdatedAt, b.UpdatedAt), cmp.Compare(a.ID.(float64), b.ID.(float64)))
	})
	return ids(userPage{Data: all})
}

func TestEditedUserMovesToTheEndOfAListByUpdates(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:40", "-order", "acme:updated")
	first := s.page("?page=1")
	require.Equal(t, s.oldestUpdateFirst(), s.listed())

	moved := fmt.Sprint(first.Data[3].ID)
	s.control(http.MethodPut, "/orgs/acme/users/"+moved, "", http.StatusOK)
	second, third := s.page("?page=2"), s.page("?page=3")
	require.NotContains(t, append(ids(first), ids(second)...), s.oldestUpdateFirst()[14], "one who slid to a page that was read is missed")
	require.Equal(t, moved, fmt.Sprint(third.Data[9].ID), "and the edited one is met twice")

	filtered := s.page("?updated_after=2020-01-01")
	require.True(t, slices.IsSortedFunc(filtered.Data, func(a, b user) int { return cmp.Compare(a.UpdatedAt, b.UpdatedAt) }))
}

func TestListByUpdatesIsSortedAfterEveryChange(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	s := newStateFixture(t, file, "-org", "acme:100", "-order", "acme:updated")
	dice := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		s.clock.Advance(time.Duration(dice.IntN(2)) * time.Second)
		all := dump[user](s.fixture, "/orgs/acme/users")
		one := fmt.Sprint(all[dice.IntN(len(all))].ID)
		switch dice.IntN(5) {
		case 0:
			s.control(http.MethodPut, "/orgs/acme/users/"+one, "", http.StatusOK)
		case 1:
			s.control(http.MethodPut, "/orgs/acme/users/"+one, `{"created_at":"2019-01-01T00:00:00Z","updated_at":"2021-05-05T00:00:00Z"}`, http.StatusOK)
		case 2:
			s.control(http.MethodDelete, "/orgs/acme/users/"+one, "", http.StatusNoContent)
		case 3:
			s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
		default:
			s.batch(`{"edits":[{"id":` + one + `},{"id":` + one + `}],"add":1}`)
		}
		require.Equal(t, s.oldestUpdateFirst(), s.listed())
	}
	last := s.listed()[len(s.listed())-1]
	s.life(`{"steps":[{"after":1,"deleteAt":[-1]}]}`)
	s.page("")
	require.Equal(t, int64(last), s.lived().Events[0].ID, "a script counts positions in this order too")

	want := s.listed()
	require.NoError(t, s.stop())
	require.Equal(t, want, newStateFixture(t, file).listed())
}

func TestControlCanMakeAnOrganisationInTheOrderOfUpdates(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	made := s.control(http.MethodPost, "/orgs", `{"name":"acme","users":40,"order":"updated"}`, http.StatusCreated)
	require.Equal(t, "updated", made["order"])
	require.Equal(t, s.oldestUpdateFirst(), s.listed())
}
