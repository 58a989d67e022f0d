package vomo

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
)

// bend changes a page's links and meta so that they are wrong.
type bend func(number int, links, meta map[string]any)

func lying(total int, bends ...bend) *organisation {
	org := &organisation{total: total}
	org.first = func(w http.ResponseWriter, r *http.Request) bool {
		page := wire(pageOf(r), total)
		links, _ := page["links"].(map[string]any)
		meta, _ := page["meta"].(map[string]any)
		for _, b := range bends {
			b(pageOf(r), links, meta)
		}
		write(w, page)
		return true
	}
	return org
}

func next(value any) bend {
	return func(_ int, links, _ map[string]any) { links["next"] = value }
}

func total(value any) bend {
	return func(_ int, _, meta map[string]any) { meta["total"] = value }
}

func noNext(_ int, links, _ map[string]any) { delete(links, "next") }

func noTotal(_ int, _, meta map[string]any) { delete(meta, "total") }

func TestListWithWrongLinksOrTotalIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bends []bend
		total int // the total that the pages show
	}{
		"never a next page":              {[]bend{next(nil)}, 40},
		"the word null":                  {[]bend{next("null")}, 40},
		"a next page for ever":           {[]bend{next("https://h/?page=2")}, 40},
		"no next, the total too low":     {[]bend{noNext, total(1)}, 1},
		"no next, the total zero":        {[]bend{noNext, total(0)}, 0},
		"no next and no total":           {[]bend{noNext, noTotal}, -1},
		"no total":                       {[]bend{noTotal}, -1},
		"a total that is no number":      {[]bend{total("many")}, -1},
		"a total that is an object":      {[]bend{total(map[string]any{"a": 1})}, -1},
		"a total below zero":             {[]bend{total(-7)}, -1},
		"a total too low":                {[]bend{total(3)}, 3},
		"a total too high":               {[]bend{total(400_000_000)}, 400_000_000},
		"a next page and far too many":   {[]bend{next("x"), total(400_000_000)}, 400_000_000},
		"a total with a fraction":        {[]bend{total(40.5)}, -1},
		"one that no int holds":          {[]bend{total("99999999999999999999")}, -1},
		"no next and far too many users": {[]bend{noNext, total(400_000_000)}, 400_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			org := lying(40, c.bends...)
			client, _ := serve(t, org.serve)
			ids := map[string]bool{}
			for page, err := range client.Scan(t.Context(), Query{}, ScanOptions{}).Pages() {
				require.NoError(t, err)
				require.Equal(t, c.total, page.Total)
				for _, user := range page.Users {
					ids[user.ID] = true
				}
			}
			require.Len(t, ids, 40)
			require.LessOrEqual(t, slices.Max(org.pages()), 3+maxAhead)
		})
	}
}

func TestLinkToAnotherHostIsNeverFollowed(t *testing.T) {
	t.Parallel()
	var visitors atomic.Int32
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visitors.Add(1) }))
	t.Cleanup(foreign.Close)
	org := lying(40, func(number int, links, _ map[string]any) {
		if links["next"] != nil {
			links["next"] = fmt.Sprintf("%s/v1/users?page=%d", foreign.URL, number+1)
		}
	})
	client, _ := serve(t, org.serve)
	numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{}))
	require.NoError(t, err)
	require.Equal(t, upTo(3), numbers)
	require.Zero(t, visitors.Load())
}

func TestRepeatingSourceIsDetectedForAnyCycleLength(t *testing.T) {
	t.Parallel()
	for _, round := range []int{1, 2, 3, 7, 20} {
		for _, before := range []int{0, 5} {
			dice := rand.New(rand.NewPCG(1, 2)) // one client requests one page at a time
			client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				number := pageOf(r)
				if number > before {
					number = before + 1 + (number-before-1)%round
				}
				entries := []any{entry(2 * number), entry(2*number + 1), "no entry"}
				dice.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
				write(w, map[string]any{"data": entries, "links": map[string]any{"next": "https://h/"}})
			})
			numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{Ahead: 1}))
			require.ErrorIs(t, err, ErrPageRepeats)
			require.LessOrEqual(t, len(numbers), 4*(before+round)+1)
			require.GreaterOrEqual(t, len(numbers), before+round)
		}
	}
}

func TestEndlessListEndsAtMillionPages(t *testing.T) {
	t.Parallel()
	org := lying(100_000_000)
	client, _ := serve(t, org.serve)
	numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{From: maxPages - 1}))
	require.Equal(t, []int{maxPages - 1, maxPages}, numbers)
	require.ErrorIs(t, err, ErrEndless)
	require.Equal(t, "vomo_endless", fault.CodeOf(err))
}

func TestSlowBodyIsTimeout(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for r.Context().Err() == nil { // without pause: the limit is total time, not silence
			_, _ = w.Write([]byte(" "))
			_ = http.NewResponseController(w).Flush()
			_ = backoff.Sleep(r.Context(), time.Millisecond)
		}
	}, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond; cfg.Attempts = 1 })
	_, err := client.Page(t.Context(), Query{}, 1)
	require.Equal(t, "vomo_timeout", fault.CodeOf(err))
	<-gone
}

func TestPageWithTooManyEntriesIsBroken(t *testing.T) {
	t.Parallel()
	body := func(entries int) []byte { return []byte(`{"data":[0` + strings.Repeat(",0", entries-1) + `]}`) }
	_, err := decodePage(body(maxEntries), 1)
	require.NoError(t, err)
	_, err = decodePage(body(maxEntries+1), 1)
	require.ErrorIs(t, err, ErrBrokenPage)
	require.ErrorContains(t, err, "more than 5000 entries")
}

func TestEntriesWithUnusableTextsAreBad(t *testing.T) {
	t.Parallel()
	for field, c := range map[string]struct {
		bytes  int
		reason string
	}{
		"email":     {maxEmailBytes, "email: longer than 1024 bytes"},
		"last_name": {maxTextBytes, "last_name: longer than 64 KiB"},
	} {
		good, bad := entry(1), entry(2)
		good[field], bad[field] = strings.Repeat("x", c.bytes), strings.Repeat("x", c.bytes+1)
		client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { write(w, map[string]any{"data": []any{good, bad}}) })
		page, err := client.Page(t.Context(), Query{}, 1)
		require.NoError(t, err)
		require.Equal(t, "1", page.Users[0].ID)
		require.Equal(t, []BadUser{{ID: "2", Reason: c.reason, Key: "2"}}, page.Bad, maps.Keys(good))
	}
}
