package vomo

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

// busy counts the requests in flight and the running calls of Before, which must be zero when a scan has ended.
type busy struct {
	atomic.Int32
	next http.RoundTripper
}

func (b *busy) RoundTrip(r *http.Request) (*http.Response, error) {
	b.Add(1)
	defer b.Add(-1)
	return b.next.RoundTrip(r)
}

func (b *busy) wrap(cfg *Config) {
	b.next = cfg.Transport
	cfg.Transport = b
	before := cfg.Before
	cfg.Before = func(ctx context.Context) error {
		b.Add(1)
		defer b.Add(-1)
		if before == nil {
			return nil
		}
		return before(ctx)
	}
}

// drain reads a scan to its end and returns the numbers of its pages and the error that ended it.
func drain(scan *Scan) (numbers []int, err error) {
	for page, e := range scan.Pages() {
		if e != nil {
			err = e
			continue
		}
		numbers = append(numbers, page.Number)
	}
	return numbers, err
}

func TestScanReturnsPagesInOrderAndRequestsEachOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ total, from, last int }{{0, 1, 1}, {1, 0, 1}, {15, 1, 1}, {16, 1, 2}, {200, 1, 14}, {200, 9, 14}, {200, 14, 14}, {15, 3, 3}} {
		org := &organisation{total: c.total}
		client, _ := serve(t, org.serve)
		scan := client.Scan(t.Context(), Query{}, ScanOptions{From: c.from})
		numbers, err := drain(scan)
		require.NoError(t, err)
		want := upTo(c.last)[max(c.from, 1)-1:]
		require.Equal(t, want, numbers)
		require.Equal(t, want, slices.Sorted(slices.Values(org.pages())))
		require.False(t, scan.Stopped())
	}
}

func TestScanSendsFiltersWithEveryPageAndFollowsNoLink(t *testing.T) {
	t.Parallel()
	org := &organisation{total: 100}
	var wrong atomic.Int32
	org.first = func(_ http.ResponseWriter, r *http.Request) bool { // the links point to elsewhere.example, without filters
		if r.URL.Query().Get("updated_after") != "2026-11-22T12:00:00Z" {
			wrong.Add(1)
		}
		return false
	}
	client, _ := serve(t, org.serve)
	numbers, err := drain(client.Scan(t.Context(), Query{UpdatedAfter: testNow}, ScanOptions{}))
	require.NoError(t, err)
	require.Equal(t, upTo(7), numbers)
	require.Zero(t, wrong.Load())
}

func TestExactlyAheadPagesAreOutstanding(t *testing.T) {
	t.Parallel()
	for given, ahead := range map[int]int32{1: 1, 2: 2, 3: 3, 4: 4, 9: 4, 0: 4, -1: 4} {
		org := &organisation{total: 300}
		var asked, done, most atomic.Int32
		reached := make(chan struct{}, 100)
		client, _ := serve(t, org.serve, func(cfg *Config) {
			cfg.Before = func(context.Context) error {
				if outstanding := asked.Add(1) - done.Load(); outstanding > most.Load() {
					most.Store(outstanding) // Before is called by one goroutine at a time
				}
				if asked.Load()-done.Load() == ahead {
					reached <- struct{}{}
				}
				return nil
			}
		})
		pages := 0
		for _, err := range client.Scan(t.Context(), Query{}, ScanOptions{Ahead: given}).Pages() {
			require.NoError(t, err)
			if pages++; pages < 15 {
				<-reached // the loop body waits until the maximum of pages is requested
			}
			done.Add(1)
		}
		require.Equal(t, 20, pages)
		require.Equal(t, ahead, most.Load())
	}
}

func TestFirstPageIsRequestedAloneAndPagesAfterKnownEndOneByOne(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meta map[string]any
		lone int // pages from here on are requested one by one
	}{
		"the total is short": {map[string]any{"total": 45, "per_page": 15}, 4},
		"no total":           {map[string]any{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			org := &organisation{total: 120}
			var answered [9]atomic.Bool
			var asked, early atomic.Int32
			org.first = func(w http.ResponseWriter, r *http.Request) bool {
				page := wire(pageOf(r), org.total)
				page["meta"] = c.meta
				answered[pageOf(r)].Store(true)
				write(w, page)
				return true
			}
			client, _ := serve(t, org.serve, func(cfg *Config) {
				cfg.Before = func(context.Context) error {
					number := asked.Add(1)
					if (number == 2 || int(number) >= c.lone) && !answered[number-1].Load() {
						early.Add(1)
					}
					return nil
				}
			})
			numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{}))
			require.NoError(t, err)
			require.Equal(t, upTo(8), numbers)
			require.Equal(t, upTo(8), slices.Sorted(slices.Values(org.pages())), "no page after the end may be requested")
			require.Zero(t, early.Load())
		})
	}
}

func TestScanReturnsEmptyPageAndEnds(t *testing.T) {
	t.Parallel()
	org := &organisation{total: 30}
	org.first = func(w http.ResponseWriter, r *http.Request) bool {
		page := wire(pageOf(r), org.total)
		page["links"] = map[string]any{"next": "https://h/?page=99"}
		write(w, page)
		return true
	}
	client, _ := serve(t, org.serve)
	var last Page
	for page, err := range client.Scan(t.Context(), Query{}, ScanOptions{}).Pages() {
		require.NoError(t, err)
		last = page
	}
	require.Equal(t, 3, last.Number)
	require.Empty(t, last.Users)
	require.False(t, last.More)
}

func TestPagesRequestedAfterTheEndAreDiscarded(t *testing.T) {
	t.Parallel()
	third, fourth := make(chan struct{}), make(chan struct{})
	org := &organisation{total: 300}
	org.first = func(w http.ResponseWriter, r *http.Request) bool {
		switch pageOf(r) {
		case 2: // the organisation has fewer users meanwhile
			<-third
			write(w, wire(2, 20))
			return true
		case 3:
			<-fourth // if page 3 were answered before, page 4 would not be requested
			w.WriteHeader(http.StatusForbidden)
			close(third)
			return true
		case 4:
			close(fourth)
			<-r.Context().Done()
			return true
		}
		return false
	}
	var under busy
	client, _ := serve(t, org.serve, under.wrap)
	numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{}))
	require.NoError(t, err)
	require.Equal(t, upTo(2), numbers)
	require.Zero(t, under.Load())
}

func TestFaultIsReturnedInItsPagesPlaceAndEndsScan(t *testing.T) {
	t.Parallel()
	refused := make(chan struct{})
	org := &organisation{total: 300}
	org.first = func(w http.ResponseWriter, r *http.Request) bool {
		switch pageOf(r) {
		case 2:
			<-refused
		case 3:
			w.WriteHeader(http.StatusUnauthorized)
			close(refused)
			return true
		}
		return false
	}
	client, _ := serve(t, org.serve)
	var numbers []int
	var last error
	for page, err := range client.Scan(t.Context(), Query{}, ScanOptions{}).Pages() {
		require.NoError(t, last, "nothing may follow a fault")
		numbers, last = append(numbers, page.Number), err
	}
	require.Equal(t, upTo(3), numbers)
	require.ErrorIs(t, last, ErrUnauthorized)
	require.ErrorContains(t, last, "read page 3")
}

func TestNoPageIsRequestedAfterFailedOrLastPage(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusUnauthorized} {
		org := &organisation{total: 15, first: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return status != http.StatusOK
		}}
		client, _ := serve(t, org.serve)
		r := newRun(client.Scan(t.Context(), Query{}, ScanOptions{From: 2}))
		r.fly(t.Context(), &flight{number: 1, landed: make(chan struct{})})
		r.dispatch(t.Context())
		require.Equal(t, []int{1}, org.pages())
		require.Empty(t, r.queue)
	}
}

func TestErrorOfBeforeIsReturnedAfterPagesInFlight(t *testing.T) {
	t.Parallel()
	org := &organisation{total: 300}
	var asked atomic.Int32
	client, _ := serve(t, org.serve, func(cfg *Config) {
		cfg.Before = func(context.Context) error {
			if asked.Add(1) == 3 {
				return errTest
			}
			return nil
		}
	})
	numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{}))
	require.Equal(t, upTo(2), numbers)
	require.ErrorIs(t, err, errTest)
	require.EqualValues(t, 3, asked.Load())
	require.Len(t, org.pages(), 2)
}

func TestBeforeIsCalledByOneGoroutineAtATimeAlsoForRetries(t *testing.T) {
	t.Parallel()
	var requests, waiting, crowd atomic.Int32
	org := &organisation{total: 150}
	org.first = func(w http.ResponseWriter, _ *http.Request) bool {
		if requests.Add(1)%3 != 0 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	client, _ := serve(t, org.serve, func(cfg *Config) {
		cfg.Attempts = 20
		cfg.Before = func(context.Context) error {
			if waiting.Add(1) > 1 {
				crowd.Add(1)
			}
			defer waiting.Add(-1)
			return nil
		}
	})
	numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{}))
	require.NoError(t, err)
	require.Equal(t, upTo(10), numbers)
	require.Greater(t, len(org.pages()), 10)
	require.Zero(t, crowd.Load())
}

func TestSourceThatRepeatsForEverIsDetected(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]any{
		"people":             {entry(1), entry("2"), entry(3)},
		"unreadable entries": {"x", map[string]any{"email": "no id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				write(w, map[string]any{"data": entries, "links": map[string]any{"next": "https://h/?page=2"}})
			})
			numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{From: 5}))
			require.Equal(t, []int{5}, numbers)
			require.ErrorIs(t, err, ErrPageRepeats)
			require.Equal(t, "vomo_page_repeats", fault.CodeOf(err))
			require.Equal(t, fault.KindUnknown, fault.KindOf(err))
		})
	}
}

func TestPagesThatShareSomeUsersAreNotRepeated(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		next := any("https://h/")
		if pageOf(r) == 2 {
			next = nil
		}
		write(w, map[string]any{"data": []any{entry(1), entry(10 * pageOf(r))}, "links": map[string]any{"next": next}})
	})
	numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{}))
	require.NoError(t, err)
	require.Equal(t, upTo(2), numbers)
}

func TestLongPauseEndsScanWithThrottledFault(t *testing.T) {
	t.Parallel()
	org := &organisation{total: 60}
	org.first = func(w http.ResponseWriter, r *http.Request) bool {
		if pageOf(r) != 2 {
			return false
		}
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	client, _ := serve(t, org.serve)
	numbers, err := drain(client.Scan(t.Context(), Query{}, ScanOptions{}))
	require.Equal(t, upTo(1), numbers)
	after, _ := fault.After(err)
	require.Equal(t, 90*time.Second, after)
}
