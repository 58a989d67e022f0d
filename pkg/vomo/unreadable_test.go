package vomo

import (
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

// entriesWith returns n entries with this value in field.
func entriesWith(n int, field string, value any) []any {
	entries := make([]any, 0, n)
	for id := 1; id <= n; id++ {
		one := maps.Clone(entry(id))
		one[field] = value
		entries = append(entries, one)
	}
	return entries
}

func TestPageWhoseEntriesShareDefectIsUnreadable(t *testing.T) {
	t.Parallel()
	good := entry(99)
	for name, c := range map[string]struct {
		entries []any
		next    any
		query   Query
		number  int
		atFault bool
	}{
		"a whole page":                        {entriesWith(15, "updated_at", "19/02/2026"), "https://h/", Query{}, 1, true},
		"a later page":                        {entriesWith(10, "updated_at", "19/02/2026"), nil, Query{}, 3, true},
		"those who changed":                   {entriesWith(12, "email", []any{}), nil, Query{UpdatedAfter: testNow}, 1, true},
		"a small organisation":                {entriesWith(2, "updated_at", "19/02/2026"), nil, Query{}, 1, true},
		"one user":                            {entriesWith(1, "updated_at", "19/02/2026"), nil, Query{}, 1, false},
		"a few who changed":                   {entriesWith(9, "updated_at", "19/02/2026"), nil, Query{UpdatedAfter: testNow}, 1, false},
		"the last of a large organisation":    {entriesWith(9, "updated_at", "19/02/2026"), nil, Query{}, 7, false},
		"a window of those who came together": {entriesWith(15, "updated_at", "19/02/2026"), nil, Query{CreatedAfter: testNow}, 1, false},
		"one of them can be read":             {append(entriesWith(14, "updated_at", "19/02/2026"), good), nil, Query{}, 1, false},
		"two defects":                         {append(entriesWith(14, "updated_at", "19/02/2026"), entriesWith(1, "email", []any{})...), nil, Query{}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, naps := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				write(w, map[string]any{"data": c.entries, "links": map[string]any{"next": c.next}})
			})
			page, err := client.Page(t.Context(), c.query, c.number)
			if !c.atFault {
				require.NoError(t, err)
				require.NotEmpty(t, page.Bad)
				return
			}
			require.ErrorIs(t, err, ErrUnreadablePage)
			require.Equal(t, "vomo_unreadable_page", fault.CodeOf(err))
			require.Equal(t, fault.KindUnknown, fault.KindOf(err))
			require.Regexp(t, `entries have the same defect, (updated_at: not a time|email: not a text)$`, err.Error())
			require.Len(t, naps.all(), 3, "the page must be retried: another VOMO server may answer correctly")
			_, err = client.Probe(t.Context())
			require.NoError(t, err, "the token must count as valid")
		})
	}
}

// testdata/cases/past-the-end.md of package scan.
func TestPageAfterLastOneEndsList(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"404": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			write(w, map[string]any{"message": "Resource not found."})
		},
		"the last page, by its own number": func(w http.ResponseWriter, _ *http.Request) { write(w, wire(3, 45)) },
	} {
		client, naps := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if pageOf(r) > 3 {
				answer(w, r)
				return
			}
			write(w, wire(pageOf(r), 46))
		})
		for _, from := range []int{1, 4} {
			scan := client.Scan(t.Context(), Query{}, ScanOptions{From: from})
			numbers, err := drain(scan)
			require.NoError(t, err, name)
			require.Equal(t, upTo(4)[from-1:], numbers, name)
		}
		page, err := client.Page(t.Context(), Query{}, 4)
		require.NoError(t, err, name)
		require.Empty(t, page.Users, name)
		require.False(t, page.More, name)
		require.Contains(t, []int{-1, 45}, page.Total, name)
		require.False(t, page.Date.IsZero(), name)
		require.Empty(t, naps.all(), name)
	}
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	_, err := client.Page(t.Context(), Query{}, 1)
	require.ErrorIs(t, err, ErrNotFound, "for page 1 it must stay an error")
}

func TestSourceThatIgnoresPageNumberIsNotEndOfList(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]map[string]any{
		"it speaks of another page":  wire(1, 60),
		"it says nothing of an end":  {"data": []any{entry(1)}, "meta": map[string]any{"current_page": 1}},
		"it counts more than it has": {"data": []any{entry(1)}, "meta": map[string]any{"current_page": 1, "total": 60, "per_page": 15}},
		"it is ahead":                wire(5, 75),
	} {
		client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { write(w, page) })
		_, err := client.Page(t.Context(), Query{}, 2)
		require.ErrorIs(t, err, ErrPageMismatch, name)
	}
}
