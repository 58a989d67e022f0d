package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listed are the ids of the whole list, page by page.
func (s *sandbox) listed() []float64 {
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

// oldestUpdateFirst are the ids in the order that the list should have.
func (s *sandbox) oldestUpdateFirst() []float64 {
	s.t.Helper()
	all := dump[user](s, "/orgs/acme/users")
	slices.SortFunc(all, func(a, b user) int {
		return cmp.Or(cmp.Compare(a.UpdatedAt, b.UpdatedAt), cmp.Compare(a.ID.(float64), b.ID.(float64)))
	})
	return ids(userPage{Data: all})
}

func TestEditedUserMovesToTheEndOfAListByUpdates(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:40", "-order", "acme:updated")
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

func TestListByUpdatesStandsSortedWhateverHappens(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.gz")
	s := newKept(t, file, "-org", "acme:100", "-order", "acme:updated")
	dice := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		s.clock.Advance(time.Duration(dice.IntN(2)) * time.Second)
		all := dump[user](s.sandbox, "/orgs/acme/users")
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
	require.Equal(t, want, newKept(t, file).listed())
}

func TestOrderByUpdatesMayBeAskedForByControl(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	made := s.control(http.MethodPost, "/orgs", `{"name":"acme","users":40,"order":"updated"}`, http.StatusCreated)
	require.Equal(t, "updated", made["order"])
	require.Equal(t, s.oldestUpdateFirst(), s.listed())
}
