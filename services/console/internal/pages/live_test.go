package pages

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/services/console/internal/access"
)

// stream is one open page.
type stream struct {
	f     *fixture
	lines *bufio.Scanner
	close func()
}

func (f *fixture) listen(path string) *stream {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.web.URL+"/live?at="+url.QueryEscape(path), nil)
	require.NoError(f.t, err)
	response, err := http.DefaultClient.Do(request) //nolint:bodyclose // close does
	require.NoError(f.t, err)
	require.Equal(f.t, http.StatusOK, response.StatusCode)
	opened := &stream{f: f, lines: bufio.NewScanner(response.Body), close: func() {
		cancel()
		if err := response.Body.Close(); err != nil {
			require.ErrorIs(f.t, err, context.Canceled)
		}
	}}
	opened.lines.Buffer(nil, 1<<20)
	f.t.Cleanup(opened.close)
	return opened
}

// beat reads until the stream says that it is still there.
func (s *stream) beat() {
	s.f.t.Helper()
	for s.lines.Scan() {
		if s.lines.Text() == "event: beat" {
			return
		}
	}
	require.Fail(s.f.t, "the stream has ended", "%v", s.lines.Err())
}

// until reads fragments until one of that id has a text.
func (s *stream) until(id, text string) piece {
	s.f.t.Helper()
	for s.lines.Scan() {
		data, isData := strings.CutPrefix(s.lines.Text(), "data: ")
		var one piece
		if isData && json.Unmarshal([]byte(data), &one) == nil && one.ID == id && strings.Contains(one.HTML, text) {
			return one
		}
	}
	require.Fail(s.f.t, "the stream has ended", "%s with %q did not come: %v", id, text, s.lines.Err())
	return piece{}
}

func TestOpenPageGetsWhatChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	page := f.listen("/customers/acme")
	page.until("customer-state", "The mirror is complete")
	f.raise("acme", event.AlertDestinationDown)
	page.until("customer-state", "Needs you")
}

func TestPageIsMadeOnceForAllOfItsReadersAndNotAfterTheLast(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	first, second := f.listen("/customers/acme"), f.listen("/customers/acme")
	first.until("customer-state", "Healthy")
	second.until("customer-state", "Healthy")
	require.Equal(t, 1, f.openFeeds())
	first.close()
	second.close()
	require.Eventually(t, func() bool { return f.openFeeds() == 0 }, 10*time.Second, 10*time.Millisecond)
}

func TestReadersWithOtherRightsDoNotShareAPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.listen("/customers/acme").until("customer-acts", "Pause")
	f.who = access.Principal{ID: "user:viewer", Rights: access.Viewer.Rights()}
	page := f.listen("/customers/acme")
	require.NotContains(t, page.until("customer-acts", "").HTML, "Pause")
	require.Equal(t, 2, f.openFeeds())
}

// A page that is open when its link is revoked must not go on.
func TestOpenPageEndsWithTheCredentialsOfItsReader(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.beat = 10 * time.Millisecond
	var isRevoked atomic.Bool
	f.Authenticate = func(r *http.Request) (access.Principal, error) {
		if isRevoked.Load() {
			return access.Principal{}, nil
		}
		return access.From(r.Context()), nil
	}
	page := f.listen("/customers/acme")
	page.until("customer-state", "Healthy")
	page.beat()
	isRevoked.Store(true)
	for page.lines.Scan() { // what is left, up to the end of the stream
	}
	require.NoError(t, page.lines.Err())
	require.Eventually(t, func() bool { return f.openFeeds() == 0 }, 10*time.Second, 10*time.Millisecond)
}

// A reader that does not keep up is left behind, and its page with it: nothing makes a page that has no reader.
func TestPageOfAReaderThatDoesNotKeepUpEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	_, leave := f.follow(access.With(t.Context(), f.who), f.who, &url.URL{Path: "/customers/acme"})
	defer leave()
	// The channel holds four changes, and nothing reads them. How many changes it takes depends on how fast the page is made, so the time is bounded.
	for n, end := 0, time.Now().Add(15*time.Second); f.openFeeds() > 0; n++ {
		require.True(t, time.Now().Before(end), "the page does not end")
		f.exec(`UPDATE sync_configs SET paused_at = CASE WHEN paused_at IS NULL THEN rollcall_now() END, updated_at = updated_at + interval '1 s'`)
		f.feeds.wake(map[string]string{"acme": strconv.Itoa(n)})
		runtime.Gosched()
	}
}

// A page of one customer costs nothing while nothing about that customer changes.
func TestOpenPageIsMadeAgainOnlyIfItsCustomerHasChanged(t *testing.T) {
	t.Parallel()
	one := &feed{customer: "acme", stamp: "1", due: time.Now().Add(time.Hour), wake: make(chan struct{}, 1)}
	open := feeds{open: map[string]*feed{"page": one}}
	open.wake(map[string]string{"acme": "1", "globex": "2"})
	require.Empty(t, one.wake)
	open.wake(map[string]string{"acme": "2"})
	require.Len(t, one.wake, 1)
	<-one.wake
	open.wake(map[string]string{"acme": "2"})
	require.Empty(t, one.wake)
	one.due = time.Time{}
	open.wake(nil)
	require.Len(t, one.wake, 1, "what no stamp shows is looked at after a while")
}

func TestStreamOfAForeignPageEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.who = access.Principal{ID: "link:1", Customer: "globex", Rights: access.Viewer.Rights()}
	page := f.listen("/customers/acme")
	for page.lines.Scan() {
		require.NotContains(t, page.lines.Text(), "acme")
	}
	require.Zero(t, f.openFeeds())
}

func (f *fixture) openFeeds() int {
	f.feeds.mu.Lock()
	defer f.feeds.mu.Unlock()
	return len(f.feeds.open)
}
