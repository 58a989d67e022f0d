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

// hanging is a number of hosts that take a request and never answer it.
type hanging struct {
	urls []string
	gone chan struct{}

	mu       sync.Mutex
	now, top int // requests under way, and the most at once
	tries    int
	longest  time.Duration
}

func newHanging(t *testing.T, hosts int) *hanging {
	t.Helper()
	h := &hanging{gone: make(chan struct{})}
	for range hosts {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		h.urls = append(h.urls, server.URL)
	}
	t.Cleanup(func() { close(h.gone) })
	return h
}

func (h *hanging) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	began := time.Now()
	h.mu.Lock()
	h.tries++
	h.now++
	h.top = max(h.top, h.now)
	h.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-h.gone:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now--
	h.longest = max(h.longest, time.Since(began))
}

func (h *hanging) seen() (now, top, tries int, longest time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now, h.top, h.tries, h.longest
}

// Each of the hanging customers was found so before, as it is after its first minute; the other customers come when the
// slots are full of them.
func TestDestinationsThatHangHoldUpNoOtherBackfill(t *testing.T) {
	t.Parallel()
	h := newHouse(t, map[string]string{
		"VOMO_REQUESTS_PER_SECOND": "10000", "VOMO_REQUESTS_PER_MINUTE": "0", "BACKFILL_SLOTS": "4", "LOG_LEVEL": "info",
	})
	hosts := newHanging(t, *hangingCount)
	h.start(programOnboarding)
	for i, url := range hosts.urls {
		customer := fmt.Sprint("hangs-", i)
		h.organisation(customer, 2) // too few to open a circuit breaker
		request := h.request(customer)
		request["externalSystemUrl"] = url
		h.publish("rollcall.onboarding.request."+customer, request)
	}
	h.untilRow("all are onboarded", `SELECT count(*) = $1 FROM backfill_runs`, len(hosts.urls))
	_, err := h.pool.Exec(t.Context(), `UPDATE backfill_runs SET state = 'parked', park_reason = 'destination_down', parks = 2, park_since = now(),
		due_at = now()`)
	require.NoError(t, err)
	h.start(programBackfill)
	h.until(longest, "the hanging ones have slots", func() bool { _, _, tries, _ := hosts.seen(); return tries >= 2 })

	const others = 4
	began := time.Now()
	for i := range others {
		customer := fmt.Sprint("fine-", i)
		h.organisation(customer, 40)
		h.onboard(customer)
	}
	for i := range others {
		h.untilDone(fmt.Sprint("fine-", i))
	}
	_, top, tries, held := hosts.seen()
	t.Logf("%d others were complete after %s, beside %d hanging destinations: at most %d tries at once, %d until then, the longest of %s",
		others, time.Since(began).Round(100*time.Millisecond), len(hosts.urls), top, tries, held.Round(100*time.Millisecond))
	require.LessOrEqual(t, top, 2, "probes hold half of the slots at most")

	h.until(longest, "a probe has ended", func() bool { _, _, _, held := hosts.seen(); return held > 0 })
	_, top, _, held = hosts.seen()
	require.LessOrEqual(t, top, 2)
	require.Less(t, held, 9*time.Second, "5 s, on a machine that may be busy")
	require.Zero(t, h.count(`SELECT count(*) FROM backfill_runs WHERE attempts > 1`), "who finds no slot spends no attempt")
	require.Equal(t, len(hosts.urls), h.count(`SELECT count(*) FROM backfill_runs WHERE park_reason = 'destination_down' AND park_since IS NOT NULL`))
}
