package vomo

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// hanging returns an organisation of twenty pages. Requests for pages from 2 on hang until the client closes the
// connection or release is closed; each sends to asked.
func hanging() (org *organisation, asked, release chan struct{}) {
	asked, release = make(chan struct{}, 100), make(chan struct{})
	org = &organisation{total: 300}
	org.first = func(_ http.ResponseWriter, r *http.Request) bool {
		if pageOf(r) == 1 {
			return false
		}
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
			return true
		case <-release:
			return false
		}
	}
	return org, asked, release
}

func take(from chan struct{}, n int) {
	for range n {
		<-from
	}
}

func TestBreakEndsEveryRequest(t *testing.T) {
	t.Parallel()
	org, asked, _ := hanging()
	var under busy
	client, _ := serve(t, org.serve, under.wrap)
	for _, err := range client.Scan(t.Context(), Query{}, ScanOptions{}).Pages() {
		require.NoError(t, err)
		take(asked, 3)
		break
	}
	require.Zero(t, under.Load())
}

func TestPanicInLoopEndsEveryRequest(t *testing.T) {
	t.Parallel()
	org, asked, _ := hanging()
	var under busy
	client, _ := serve(t, org.serve, under.wrap)
	require.PanicsWithValue(t, "the loop's own", func() {
		for _, err := range client.Scan(t.Context(), Query{}, ScanOptions{}).Pages() {
			require.NoError(t, err)
			take(asked, 3)
			panic("the loop's own")
		}
	})
	require.Zero(t, under.Load())
}

func TestCancellationEndsScanWithItsCause(t *testing.T) {
	t.Parallel()
	for name, inBody := range map[string]bool{"in the loop body": true, "while it waits for a page": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			org, asked, _ := hanging()
			var under busy
			client, _ := serve(t, org.serve, under.wrap)
			scan := client.Scan(ctx, Query{}, ScanOptions{})
			var last error
			for page, err := range scan.Pages() {
				last = err
				switch {
				case page.Number != 1:
				case inBody:
					take(asked, 3)
					cancel(errTest)
				default:
					go func() {
						take(asked, 3)
						cancel(errTest)
					}()
				}
			}
			require.ErrorIs(t, last, errTest)
			require.Zero(t, under.Load())
			require.False(t, scan.Stopped())
		})
	}
}

func TestLandedPageIsNotReturnedAfterCancellation(t *testing.T) {
	t.Parallel()
	org := &organisation{total: 300}
	org.first = func(w http.ResponseWriter, r *http.Request) bool {
		page := wire(pageOf(r), org.total)
		delete(page, "meta") // so that a page is requested only when the previous one has landed
		write(w, page)
		return true
	}
	for range 10 { // select takes either of two ready events at random
		ctx, cancel := context.WithCancelCause(t.Context())
		calls, third := 0, make(chan struct{})
		client, _ := serve(t, org.serve, func(cfg *Config) {
			cfg.Before = func(context.Context) error {
				if calls++; calls == 3 {
					close(third)
				}
				return nil
			}
		})
		var numbers []int
		for page, err := range client.Scan(ctx, Query{}, ScanOptions{}).Pages() {
			if err != nil {
				require.ErrorIs(t, err, errTest)
				break
			}
			numbers = append(numbers, page.Number)
			<-third
			cancel(errTest)
		}
		require.Equal(t, upTo(1), numbers)
		cancel(nil)
	}
}

func TestCancellationEndsCallOfBefore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var under busy
	calls := 0
	client, _ := serve(t, (&organisation{total: 300}).serve, func(cfg *Config) {
		cfg.Before = func(ctx context.Context) error {
			if calls++; calls == 1 {
				return nil
			}
			cancel(errTest)
			<-ctx.Done()
			return ctx.Err()
		}
	}, under.wrap)
	_, err := drain(client.Scan(ctx, Query{}, ScanOptions{}))
	require.ErrorIs(t, err, errTest)
	require.Zero(t, under.Load())
}

func TestScanWithEndedContextRequestsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	cancel(errTest)
	org := &organisation{total: 300}
	client, _ := serve(t, org.serve)
	numbers, err := drain(client.Scan(ctx, Query{}, ScanOptions{}))
	require.Empty(t, numbers)
	require.ErrorIs(t, err, errTest)
	require.Empty(t, org.pages())
}

func TestStopReturnsPagesInFlightAndRequestsNoMore(t *testing.T) {
	t.Parallel()
	org, asked, release := hanging()
	client, _ := serve(t, org.serve)
	scan := client.Scan(t.Context(), Query{}, ScanOptions{})
	var numbers []int
	for page, err := range scan.Pages() {
		require.NoError(t, err)
		if page.Number == 1 {
			take(asked, 3)
			stopped := make(chan struct{})
			go func() {
				scan.Stop()
				scan.Stop()
				close(stopped)
			}()
			<-stopped
			close(release)
		}
		numbers = append(numbers, page.Number)
	}
	require.Equal(t, upTo(4), numbers)
	require.Equal(t, upTo(4), slices.Sorted(slices.Values(org.pages())))
	require.True(t, scan.Stopped())
}

func TestStopEndsCallOfBefore(t *testing.T) {
	t.Parallel()
	org := &organisation{total: 300}
	waiting := make(chan struct{})
	calls := 0
	client, _ := serve(t, org.serve, func(cfg *Config) {
		cfg.Before = func(ctx context.Context) error {
			if calls++; calls == 1 {
				return nil
			}
			close(waiting)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	scan := client.Scan(t.Context(), Query{}, ScanOptions{})
	go func() {
		<-waiting
		scan.Stop()
	}()
	numbers, err := drain(scan)
	require.NoError(t, err)
	require.Equal(t, upTo(1), numbers)
	require.Equal(t, upTo(1), org.pages())
	require.True(t, scan.Stopped())
}

func TestPageInFlightIsRetriedAfterStop(t *testing.T) {
	t.Parallel()
	org := &organisation{total: 300}
	var scan *Scan
	org.first = func(w http.ResponseWriter, _ *http.Request) bool {
		if len(org.pages()) > 1 {
			return false
		}
		scan.Stop()
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	client, _ := serve(t, org.serve)
	scan = client.Scan(t.Context(), Query{}, ScanOptions{})
	numbers, err := drain(scan)
	require.NoError(t, err)
	require.Equal(t, upTo(1), numbers)
	require.Equal(t, []int{1, 1}, org.pages())
	require.True(t, scan.Stopped())
}

func TestStopBeforeStartRequestsNothing(t *testing.T) {
	t.Parallel()
	org := &organisation{total: 300}
	client, _ := serve(t, org.serve)
	scan := client.Scan(t.Context(), Query{}, ScanOptions{})
	require.False(t, scan.Stopped())
	scan.Stop()
	numbers, err := drain(scan)
	require.NoError(t, err)
	require.Empty(t, numbers)
	require.Empty(t, org.pages())
	require.True(t, scan.Stopped())
}

func TestCompleteScanIsNotStopped(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, (&organisation{total: 20}).serve)
	scan := client.Scan(t.Context(), Query{}, ScanOptions{})
	for page, err := range scan.Pages() {
		require.NoError(t, err)
		if page.Number == 2 {
			scan.Stop()
		}
	}
	scan.Stop()
	require.False(t, scan.Stopped())
}

func TestScanCanBeReadOnce(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, (&organisation{total: 20}).serve)
	scan := client.Scan(t.Context(), Query{}, ScanOptions{})
	_, err := drain(scan)
	require.NoError(t, err)
	_, err = drain(scan)
	require.ErrorIs(t, err, ErrScanUsed)
}
