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

func TestReadinessFollowsNATS(t *testing.T) {
	t.Parallel()
	stage := newStage(t)
	s, _ := serveIdle(t, "backfill", stage.settings)
	stage.nats.Stop()
	s.becomes("/readyz", http.StatusServiceUnavailable)
	_, body := s.get("/readyz")
	require.Equal(t, "NATS: not connected\n", body)
	status, _ := s.get("/healthz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = s.get("/livez")
	require.Equal(t, http.StatusOK, status, "an outage is no reason to restart the process")
	stage.nats.Restart(t)
	s.becomes("/readyz", http.StatusOK)
}

func TestReadinessFollowsPostgres(t *testing.T) {
	t.Parallel()
	stage := newStage(t)
	s, service := serveIdle(t, "backfill", stage.settings)
	service.Store.Close()
	status, body := s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "Postgres: no answer\n", body, "and nothing of the URL")
}

func TestAServiceThatDrainsIsNotReady(t *testing.T) {
	t.Parallel()
	stage := newStage(t)
	drained, finish := once()
	defer finish()
	started := make(chan struct{})
	s := serve(t, "backfill", stage.settings, func(ctx context.Context, _ *Service) error {
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

func TestAServiceIsReadyWhenItSaysSo(t *testing.T) {
	t.Parallel()
	stage := newStage(t)
	started, said, stopped := make(chan *Service, 1), make(chan struct{}), make(chan struct{})
	s := serveUnready(t, "backfill", stage.settings, func(ctx context.Context, service *Service) error {
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
	require.Equal(t, http.StatusServiceUnavailable, status, "it does not answer yet what it owns")
	require.Equal(t, "starting or stopping\n", body)
	service.Ready()
	service.Ready()
	s.becomes("/readyz", http.StatusOK)
	require.Equal(t, 1, s.logs.FilterMessage("ready").Len())
	s.stop()
	s.becomes("/readyz", http.StatusServiceUnavailable)
	<-said
	status, _ = s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status, "one that stops is not ready any more, whatever it says")
}

func TestAQuestionOfAnotherMethodIsNoProbe(t *testing.T) {
	t.Parallel()
	stage := newStage(t)
	s, _ := serveIdle(t, "backfill", stage.settings)
	response, err := http.Post("http://"+s.settings.HTTPAddr+"/readyz", "text/plain", nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}

func TestProfilesAreServedToWhoeverAskedForThem(t *testing.T) {
	t.Parallel()
	stage := newStage(t)
	s, _ := serveIdle(t, "backfill", stage.settings)
	status, _ := s.get("/debug/pprof/allocs")
	require.Equal(t, http.StatusNotFound, status, "not by default")
	s.stop()
	require.NoError(t, s.result())

	stage.settings.HTTPProfiles = true
	s, _ = serveIdle(t, "backfill", stage.settings)
	status, body := s.get("/debug/pprof/allocs")
	require.Equal(t, http.StatusOK, status)
	require.NotEmpty(t, body)
}
