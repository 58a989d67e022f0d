package job_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/worker"
)

// saas is a host at which several customers have their destinations, each under a path of its own. It answers no request
// of those that are silent.
type saas struct {
	server *httptest.Server
	gone   chan struct{} // closed at the end of the test

	mu     sync.Mutex
	silent map[string]bool
	asked  []string // customers, by request
}

func newSaaS(t *testing.T) *saas {
	t.Helper()
	s := &saas{gone: make(chan struct{}), silent: map[string]bool{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	t.Cleanup(func() { close(s.gone) })
	return s
}

func (s *saas) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	customer := strings.Split(r.URL.Path, "/")[1]
	s.mu.Lock()
	s.asked = append(s.asked, customer)
	silent := s.silent[customer]
	s.mu.Unlock()
	if silent {
		select {
		case <-r.Context().Done():
		case <-s.gone:
		}
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"id": "crm"})
}

// saw returns the customers of the requests since the last call.
func (s *saas) saw() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *saas) falls(silent bool, customers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, customer := range customers {
		s.silent[customer] = silent
	}
}

// hostsFixture is a fixture with several customers, whose destinations have a client that waits for a moment only.
type hostsFixture struct {
	*fixture
	clock *testkit.Clock
}

func newHostsFixture(t *testing.T, at *saas, customers ...string) *hostsFixture {
	t.Helper()
	c := &hostsFixture{fixture: newFixture(t), clock: testkit.NewClock(time.Time{})}
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	private := destination.PrivateAccess{All: true}
	connect := c.runner.Connect
	connect.Hosts = destination.NewHosts(destination.HostsConfig{Now: c.clock.Now})
	connect.Opener = &destination.Opener{Factories: map[string]destination.Factory{
		"rest": rest.Factory(rest.Config{Transport: transport, Timeout: 100 * time.Millisecond}, private),
	}}
	c.runner.Probes = job.NewProbeSlots(func() int { return 4 }, c.clock.Now)
	for _, customer := range customers {
		c.fixture.onboard(connect.Vault, customer)
		c.exec(`UPDATE sync_configs SET destination = jsonb_set(destination, '{url}', to_jsonb($2::text)) WHERE customer_id = $1`,
			customer, at.server.URL+"/"+customer)
	}
	c.sides.change(checkpoint.Add(time.Minute), "x", ids(2)...)
	return c
}

// works does what a worker does with a request for the customer's poll, and returns the run's state; "" if it is complete.
func (c *hostsFixture) works(customer string) string {
	c.t.Helper()
	require.NoError(c.t, c.runner.Work(c.t.Context(), &worker.Delivery{}, customer, 0))
	return strings.Join(values[string](c.fixture, `SELECT concat_ws(' ', state, park_reason, 'attempts', attempts, 'parks', parks)
		FROM runs WHERE customer_id = $1`, customer), ", ")
}

func TestOneCustomerProbesSilentHostForAllOthers(t *testing.T) {
	t.Parallel()
	at, other := newSaaS(t), newSaaS(t)
	c := newHostsFixture(t, at, "a", "b", "c", "d", "e")
	c.fixture.onboard(c.runner.Connect.Vault, "elsewhere")
	c.exec(`UPDATE sync_configs SET destination = jsonb_set(destination, '{url}', to_jsonb($1::text)) WHERE customer_id = 'elsewhere'`,
		other.server.URL+"/elsewhere")
	all := []string{"a", "b", "c", "d", "e"}
	at.falls(true, all...)
	for _, customer := range all {
		require.Equal(t, "parked destination_down attempts 0 parks 1", c.works(customer))
	}
	asked := at.saw()
	require.NotContains(t, asked, "d")
	require.NotContains(t, asked, "e")
	require.LessOrEqual(t, len(asked), 14, "three tries at two records each of a and b, and c's first")
	require.Empty(t, c.works("elsewhere"), "customers of another host are not affected")

	status, err := report.StatusOf(t.Context(), c.store, "d")
	require.NoError(t, err)
	found := slices.IndexFunc(status.Health.Reasons, func(reason report.Reason) bool { return reason.Code == "destination_down" })
	require.NotEqual(t, -1, found, "%+v", status.Health.Reasons)
	reason := status.Health.Reasons[found]
	require.Contains(t, reason.Text, "answers none of several customers")
	require.NotEmpty(t, reason.Remedy)
	require.NotNil(t, reason.Since)
	since := values[time.Time](c.fixture, `SELECT park_since FROM runs WHERE customer_id = 'd'`)[0]

	c.sides.saw()
	for _, first := range []string{"d", "a", "e"} {
		for _, customer := range all {
			require.Contains(t, c.works(customer), "parked destination_down attempts 0")
		}
		require.Empty(t, at.saw(), "nothing is sent within the pause")
		read, _ := c.sides.saw()
		require.Empty(t, read, "nor is VOMO's budget spent")
		c.clock.Advance(10 * time.Second)
		c.works(first)
		require.Equal(t, []string{first}, at.saw(), "one request for all")
		c.sides.saw()
	}
	require.Equal(t, since, values[time.Time](c.fixture, `SELECT park_since FROM runs WHERE customer_id = 'd'`)[0])
	require.Equal(t, []string{"a 2", "b 1", "c 1", "d 2", "e 2"}, values[string](c.fixture,
		`SELECT customer_id || ' ' || parks FROM runs ORDER BY customer_id`), "a customer that sent no request was not tried")

	at.falls(false, all...)
	c.clock.Advance(10 * time.Second)
	for _, customer := range all {
		require.Empty(t, c.works(customer), "the first answer is for all of them")
	}
	require.Empty(t, values[string](c.fixture, `SELECT record_id FROM dead_letters`))
	require.Empty(t, values[string](c.fixture, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
}

func TestSilentPathOfOneCustomerDoesNotStopOthersOfTheHost(t *testing.T) {
	t.Parallel()
	at := newSaaS(t)
	c := newHostsFixture(t, at, "dead", "fine-1", "fine-2")
	at.falls(true, "dead")
	for range 4 {
		require.Contains(t, c.works("dead"), "parked destination_down")
		require.Contains(t, at.saw(), "dead", "it goes on asking by itself")
	}
	require.Empty(t, c.works("fine-1"))
	require.Empty(t, c.works("fine-2"))
	require.Contains(t, at.saw(), "fine-2")
}

func TestProbeWithoutSlotCountsNoAttempt(t *testing.T) {
	t.Parallel()
	at := newSaaS(t)
	c := newHostsFixture(t, at, "first", "second", "fine")
	c.runner.Probes = job.NewProbeSlots(func() int { return 2 }, c.clock.Now)
	at.falls(true, "first", "second")
	for _, customer := range []string{"first", "second"} {
		require.Equal(t, "parked destination_down attempts 0 parks 1", c.works(customer))
	}
	slow := make(chan struct{})
	end := sync.OnceFunc(func() { close(slow) })
	t.Cleanup(end)
	var pages atomic.Int64
	c.sides.set(func(w *sides) {
		w.onPage = func(int) {
			if pages.Add(1) == 1 {
				<-slow
			}
		}
	})
	probed := make(chan error, 1)
	ctx := t.Context()
	go func() { probed <- c.runner.Work(ctx, &worker.Delivery{}, "first", 0) }()
	require.Eventually(t, func() bool {
		return values[string](c.fixture, `SELECT state FROM runs WHERE customer_id = 'first'`)[0] == "running"
	}, 30*time.Second, time.Millisecond)

	require.Equal(t, "parked destination_down attempts 0 parks 1", c.works("second"), "it is due again, and no attempt was made")
	require.InDelta(t, 2.5, values[float64](c.fixture,
		`SELECT extract(epoch FROM due_at - updated_at)::float8 FROM runs WHERE customer_id = 'second'`)[0], 0.1)
	require.Empty(t, c.works("fine"))
	end()
	require.NoError(t, <-probed)
	require.Equal(t, "parked destination_down attempts 0 parks 2", c.works("second"), "the slot is free")
}
