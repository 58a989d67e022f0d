package acceptance_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var hangingCount = flag.Int("hanging", 28, "how many customers' destinations hang in a test about fairness")

// silentServers are hosts that accept requests and never answer them.
type silentServers struct {
	urls []string
	gone chan struct{}

	mu       sync.Mutex
	now, top int // requests under way, and the most at once
	tries    int
	longest  time.Duration
}

func newSilentServers(t *testing.T, hosts int) *silentServers {
	t.Helper()
	s := &silentServers{gone: make(chan struct{})}
	for range hosts {
		server := httptest.NewServer(s)
		t.Cleanup(server.Close)
		s.urls = append(s.urls, server.URL)
	}
	t.Cleanup(func() { close(s.gone) })
	return s
}

func (s *silentServers) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	began := time.Now()
	s.mu.Lock()
	s.tries++
	s.now++
	s.top = max(s.top, s.now)
	s.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-s.gone:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	s.longest = max(s.longest, time.Since(began))
}

func (s *silentServers) seen() (now, top, tries int, longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.top, s.tries, s.longest
}

// The hosts have already been found silent, as they are after a minute. The other customers start when the slots are full of
// customers whose destinations are silent.
func TestSilentDestinationsHoldUpNoOtherBackfill(t *testing.T) {
	t.Parallel()
	f := newFixture(t, map[string]string{
		"VOMO_REQUESTS_PER_SECOND": "10000", "VOMO_REQUESTS_PER_MINUTE": "0", "BACKFILL_SLOTS": "4", "LOG_LEVEL": "info",
	})
	hosts := newSilentServers(t, *hangingCount)
	f.start(programOnboarding)
	for i, url := range hosts.urls {
		customer := fmt.Sprint("hangs-", i)
		f.organisation(customer, 2) // too few to open a circuit breaker
		request := f.request(customer)
		request["externalSystemUrl"] = url
		f.publish("rollcall.onboarding.request."+customer, request)
	}
	f.awaitRow("all are onboarded", `SELECT count(*) = $1 FROM all_runs WHERE kind = 'backfill'`, len(hosts.urls))
	_, err := f.pool.Exec(t.Context(), `UPDATE backfill_runs SET state = 'parked', park_reason = 'destination_down', parks = 2, park_since = now(),
		due_at = now()`)
	require.NoError(t, err)
	f.start(programBackfill)
	f.await(longest, "the hanging ones have slots", func() bool { _, _, tries, _ := hosts.seen(); return tries >= 2 })

	const others = 4
	began := time.Now()
	for i := range others {
		customer := fmt.Sprint("fine-", i)
		f.organisation(customer, 40)
		f.onboard(customer)
	}
	for i := range others {
		f.awaitDone(fmt.Sprint("fine-", i))
	}
	_, top, tries, held := hosts.seen()
	t.Logf("%d others were complete after %s, beside %d hanging destinations: at most %d tries at once, %d until then, the longest of %s",
		others, time.Since(began).Round(100*time.Millisecond), len(hosts.urls), top, tries, held.Round(100*time.Millisecond))
	require.LessOrEqual(t, top, 2, "probes hold half of the slots at most")

	f.await(longest, "a probe has ended", func() bool { _, _, _, held := hosts.seen(); return held > 0 })
	_, top, _, held = hosts.seen()
	require.LessOrEqual(t, top, 2)
	require.Less(t, held, 9*time.Second, "5 s, on a machine that may be busy")
	require.Zero(t, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND attempts > 1`), "who finds no slot spends no attempt")
	require.Equal(t, len(hosts.urls), f.count(`SELECT count(*) FROM all_runs
		WHERE kind = 'backfill' AND park_reason = 'destination_down' AND park_since IS NOT NULL`))
}
