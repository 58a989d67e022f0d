package service

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

func newTestCounter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "rollcall_test_total", Help: "Of a test."})
}

func TestServiceIsNotReadyDuringNATSOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, _ := serveIdle(t, "backfill", f.settings)
	f.nats.Stop()
	s.becomes("/readyz", http.StatusServiceUnavailable)
	_, body := s.get("/readyz")
	require.Equal(t, "NATS: not connected\n", body)
	status, _ := s.get("/healthz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = s.get("/livez")
	require.Equal(t, http.StatusOK, status, "an outage must not restart the process")
	f.nats.Restart(t)
	s.becomes("/readyz", http.StatusOK)
}

func TestServiceIsNotReadyDuringPostgresOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, service := serveIdle(t, "backfill", f.settings)
	service.Store.Close()
	status, body := s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "Postgres: no answer\n", body, "the answer must not contain the URL")
}

func TestDrainingServiceIsNotReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drained, finish := once()
	defer finish()
	started := make(chan struct{})
	s := serve(t, "backfill", f.settings, func(ctx context.Context, _ *Service) error {
		close(started)
		<-ctx.Done()
		<-drained
		return nil
	})
	select {
	case <-started:
	case <-s.ended:
		require.FailNow(t, "the service has ended", "%v", s.err)
	}
	s.becomes("/readyz", http.StatusOK)
	s.stop()
	s.becomes("/readyz", http.StatusServiceUnavailable)
	status, _ := s.get("/livez")
	require.Equal(t, http.StatusOK, status)
	finish()
	require.NoError(t, s.result())
}

func TestServiceIsReadyAfterItCallsReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	started, said, stopped := make(chan *Service, 1), make(chan struct{}), make(chan struct{})
	s := serveUnready(t, "backfill", f.settings, func(ctx context.Context, service *Service) error {
		started <- service
		<-ctx.Done()
		service.Ready()
		close(said)
		<-stopped
		return nil
	})
	defer close(stopped)
	var service *Service
	select {
	case service = <-started:
	case <-s.ended:
		require.FailNow(t, "the service has ended", "%v", s.err)
	}
	status, body := s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status, "the service has not called Ready yet")
	require.Equal(t, "starting or stopping\n", body)
	service.Ready()
	service.Ready()
	s.becomes("/readyz", http.StatusOK)
	require.Equal(t, 1, s.logs.FilterMessage("ready").Len())
	s.stop()
	s.becomes("/readyz", http.StatusServiceUnavailable)
	<-said
	status, _ = s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status, "a stopping service must not become ready, even if it calls Ready")
}

func TestHealthRejectsOtherMethods(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, _ := serveIdle(t, "backfill", f.settings)
	response, err := http.Post("http://"+s.settings.HTTPAddr+"/readyz", "text/plain", nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}

func TestProfilesAreServedIfEnabled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, _ := serveIdle(t, "backfill", f.settings)
	status, _ := s.get("/debug/pprof/allocs")
	require.Equal(t, http.StatusNotFound, status, "not by default")
	s.stop()
	require.NoError(t, s.result())

	f.settings.HTTPProfiles = true
	s, _ = serveIdle(t, "backfill", f.settings)
	status, body := s.get("/debug/pprof/allocs")
	require.Equal(t, http.StatusOK, status)
	require.NotEmpty(t, body)
}

func TestOnlyHealthcheckFlagAsksForHealth(t *testing.T) {
	t.Parallel()
	require.True(t, asksForHealth([]string{"-healthcheck"}))
	require.True(t, asksForHealth([]string{"healthcheck"}))
	for _, args := range [][]string{nil, {"--help"}, {"-healthcheck", "now"}, {"run", "healthcheck"}} {
		require.False(t, asksForHealth(args), args)
	}
}

func TestProbeOfWildcardAddressUsesLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", "[::]:8080": "127.0.0.1:8080",
		"127.0.0.1:9": "127.0.0.1:9", "[::1]:9": "[::1]:9", "backfill:9": "backfill:9",
	} {
		got, err := probeAddress(addr)
		require.NoError(t, err, addr)
		require.Equal(t, want, got, addr)
	}
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.1", "", "127.0.0.1:"} {
		_, err := probeAddress(addr)
		require.ErrorContains(t, err, "HTTP_ADDR", addr)
	}
}

func TestHealthcheckReturnsReadinessOfService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, _ := serveIdle(t, "backfill", f.settings)
	_, port, err := net.SplitHostPort(f.settings.HTTPAddr)
	require.NoError(t, err)
	for _, addr := range []string{f.settings.HTTPAddr, ":" + port, "0.0.0.0:" + port} {
		var out strings.Builder
		require.Zero(t, healthcheck(t.Context(), addr, "backfill", &out), out.String())
		require.Empty(t, out.String())
	}
	f.nats.Stop()
	s.becomes("/readyz", http.StatusServiceUnavailable)
	var out strings.Builder
	require.Equal(t, 1, healthcheck(t.Context(), f.settings.HTTPAddr, "backfill", &out))
	require.Equal(t, "backfill: not ready: 503 Service Unavailable\n", out.String())
}

func TestHealthcheckFailsWithoutService(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.Equal(t, 1, healthcheck(t.Context(), testkit.FreeAddr(t), "backfill", &out))
	require.Contains(t, out.String(), "backfill: ask for health")
}

func TestHealthcheckHasTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	var out strings.Builder
	require.Equal(t, 1, healthcheck(t.Context(), silent.Listener.Addr().String(), "backfill", &out))
	require.Contains(t, out.String(), "deadline exceeded")
}
