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

// saw is whose requests came since it was last asked for.
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

// city is a house with more customers than one, whose destinations have a client that waits no longer than a moment.
type city struct {
	*house
	clock *testkit.Clock
}

func newCity(t *testing.T, at *saas, customers ...string) *city {
	t.Helper()
	c := &city{house: newHouse(t), clock: testkit.NewClock(time.Time{})}
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	private := destination.PrivateAccess{All: true}
	connect := c.runner.Connect
	connect.Hosts = destination.NewHosts(destination.HostsConfig{Now: c.clock.Now})
	connect.Opener = &destination.Opener{Factories: map[string]destination.Factory{
		"rest": rest.Factory(rest.Config{Transport: transport, Timeout: 100 * time.Millisecond}, private),
	}}
	c.runner.Probes = job.NewProbeSlots(4, c.clock.Now)
	for _, customer := range customers {
		c.house.onboard(connect.Vault, customer)
		c.exec(`UPDATE sync_configs SET destination = jsonb_set(destination, '{url}', to_jsonb($2::text)) WHERE customer_id = $1`,
			customer, at.server.URL+"/"+customer)
	}
	c.world.change(checkpoint.Add(time.Minute), "x", ids(2)...)
	return c
}

// works has a worker take the customer's poll, and is how it stands then; "" if it is complete.
func (c *city) works(customer string) string {
	c.t.Helper()
	require.NoError(c.t, c.runner.Work(c.t.Context(), &worker.Delivery{}, customer, 0))
	return strings.Join(values[string](c.house, `SELECT concat_ws(' ', state, park_reason, 'attempts', attempts, 'parks', parks)
		FROM sync_runs WHERE customer_id = $1`, customer), ", ")
}

func TestOneCustomerAsksForAllWhoseHostAnswersNone(t *testing.T) {
	t.Parallel()
	at, other := newSaaS(t), newSaaS(t)
	c := newCity(t, at, "a", "b", "c", "d", "e")
	c.house.onboard(c.runner.Connect.Vault, "elsewhere")
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
	require.Empty(t, c.works("elsewhere"), "another host's customers are not concerned")

	status, err := report.StatusOf(t.Context(), c.store, "d")
	require.NoError(t, err)
	found := slices.IndexFunc(status.Health.Reasons, func(reason report.Reason) bool { return reason.Code == "destination_down" })
	require.NotEqual(t, -1, found, "%+v", status.Health.Reasons)
	reason := status.Health.Reasons[found]
	require.Contains(t, reason.Text, "answers none of several customers")
	require.NotEmpty(t, reason.Remedy)
	require.NotNil(t, reason.Since)
	since := values[time.Time](c.house, `SELECT park_since FROM sync_runs WHERE customer_id = 'd'`)[0]

	c.world.saw()
	for _, first := range []string{"d", "a", "e"} {
		for _, customer := range all {
			require.Contains(t, c.works(customer), "parked destination_down attempts 0")
		}
		require.Empty(t, at.saw(), "nothing is sent within the pause")
		read, _ := c.world.saw()
		require.Empty(t, read, "nor is VOMO's budget spent")
		c.clock.Advance(10 * time.Second)
		c.works(first)
		require.Equal(t, []string{first}, at.saw(), "one request for all")
		c.world.saw()
	}
	require.Equal(t, since, values[time.Time](c.house, `SELECT park_since FROM sync_runs WHERE customer_id = 'd'`)[0])
	require.Equal(t, []string{"a 2", "b 1", "c 1", "d 2", "e 2"}, values[string](c.house,
		`SELECT customer_id || ' ' || parks FROM sync_runs ORDER BY customer_id`), "who did not ask was not tried")

	at.falls(false, all...)
	c.clock.Advance(10 * time.Second)
	for _, customer := range all {
		require.Empty(t, c.works(customer), "the first answer is for all of them")
	}
	require.Empty(t, values[string](c.house, `SELECT record_id FROM dead_letters`))
	require.Empty(t, values[string](c.house, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
}

func TestOneCustomersSilentPathOpensNoHostThatAnswersOthers(t *testing.T) {
	t.Parallel()
	at := newSaaS(t)
	c := newCity(t, at, "dead", "fine-1", "fine-2")
	at.falls(true, "dead")
	for range 4 {
		require.Contains(t, c.works("dead"), "parked destination_down")
		require.Contains(t, at.saw(), "dead", "it goes on asking by itself")
	}
	require.Empty(t, c.works("fine-1"))
	require.Empty(t, c.works("fine-2"))
	require.Contains(t, at.saw(), "fine-2")
}

func TestAProbeThatFindsNoSlotIsNotTried(t *testing.T) {
	t.Parallel()
	at := newSaaS(t)
	c := newCity(t, at, "first", "second", "fine")
	c.runner.Probes = job.NewProbeSlots(2, c.clock.Now)
	at.falls(true, "first", "second")
	for _, customer := range []string{"first", "second"} {
		require.Equal(t, "parked destination_down attempts 0 parks 1", c.works(customer))
	}
	slow := make(chan struct{})
	end := sync.OnceFunc(func() { close(slow) })
	t.Cleanup(end)
	var pages atomic.Int64
	c.world.set(func(w *world) {
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
		return values[string](c.house, `SELECT state FROM sync_runs WHERE customer_id = 'first'`)[0] == "running"
	}, 30*time.Second, time.Millisecond)

	require.Equal(t, "parked destination_down attempts 0 parks 1", c.works("second"), "it is due again, and no attempt was made")
	require.InDelta(t, 2.5, values[float64](c.house,
		`SELECT extract(epoch FROM due_at - updated_at)::float8 FROM sync_runs WHERE customer_id = 'second'`)[0], 0.1)
	require.Empty(t, c.works("fine"))
	end()
	require.NoError(t, <-probed)
	require.Equal(t, "parked destination_down attempts 0 parks 2", c.works("second"), "the slot is free")
}
