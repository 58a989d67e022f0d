package service

import (
	"context"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
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
