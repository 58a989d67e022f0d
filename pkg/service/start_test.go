package service

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestRunningServiceLogsReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, service := serveIdle(t, "backfill", f.settings)
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		status, body := s.get(path)
		require.Equal(t, http.StatusOK, status, path)
		require.Equal(t, "ok\n", body)
	}
	status, body := s.get("/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "go_goroutines")

	reply, err := f.nats.Conn(t).Request("$SRV.PING.rollcall-backfill", nil, soon)
	require.NoError(t, err)
	var ping micro.Ping
	require.NoError(t, json.Unmarshal(reply.Data, &ping))
	require.Equal(t, Version, ping.Version)
	reply, err = f.nats.Conn(t).Request("$SRV.INFO.rollcall-backfill", nil, soon)
	require.NoError(t, err)
	var info micro.Info
	require.NoError(t, json.Unmarshal(reply.Data, &info))
	require.Equal(t, "rollcall-backfill", info.Name)

	require.NotEmpty(t, service.Instance)
	require.NoError(t, service.Store.Ping(t.Context()))
}

func TestServiceRejectsOlderSchemaAndNamesMigrate(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	s := serve(t, "backfill", settingsFor(t, server.URL, testkit.EmptyDatabase(t)), func(context.Context, *Service) error {
		t.Error("the work began on an older schema")
		return nil
	})
	err := s.result()
	require.ErrorIs(t, err, store.ErrSchemaOlder)
	require.ErrorContains(t, err, "rollcall migrate")
}

func TestServiceWaitsForNATS(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.nats.Stop()
	started := make(chan *Service, 1)
	s := serve(t, "backfill", f.settings, untilStopped(started))
	require.Eventually(t, func() bool { return s.logs.FilterMessage("waiting for NATS").Len() == 1 }, soon, 5*time.Millisecond)
	status, _ := s.get("/livez")
	require.Equal(t, http.StatusOK, status)
	status, body := s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "starting or stopping\n", body)
	f.nats.Restart(t)
	select {
	case <-started:
	case <-time.After(soon):
		require.FailNow(t, "the service has not started")
	}
	s.becomes("/readyz", http.StatusOK)
}

func TestServiceWaitsForStreams(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	js := f.nats.JetStream(t)
	require.NoError(t, js.DeleteStream(t.Context(), bus.StreamWriteback))
	started := make(chan *Service, 1)
	s := serve(t, "backfill", f.settings, untilStopped(started))
	require.Eventually(t, func() bool { return s.logs.FilterMessage("waiting for streams").Len() == 1 }, soon, 5*time.Millisecond)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, f.settings.ClaimTimeout))
	select {
	case <-started:
	case <-time.After(soon):
		require.FailNow(t, "the service has not started")
	}
}

func TestStopDuringStartIsNotAnError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.nats.Stop()
	s := serve(t, "backfill", f.settings, untilStopped(nil))
	require.Eventually(t, func() bool { return s.logs.FilterMessage("waiting for NATS").Len() == 1 }, soon, 5*time.Millisecond)
	s.stop()
	require.NoError(t, s.result())
}

func TestUsedAddressFailsStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	serveIdle(t, "backfill", f.settings)
	second := serve(t, "backfill", f.settings, untilStopped(nil))
	require.ErrorContains(t, second.result(), "HTTP_ADDR")
}

func TestServicesInOneProcessShareNoMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.settings
	other.HTTPAddr = testkit.FreeAddr(t)
	_, first := serveIdle(t, "backfill", f.settings)
	s, second := serveIdle(t, "onboarding", other)
	require.NotSame(t, first.Registry, second.Registry)
	counter := newTestCounter()
	first.Registry.MustRegister(counter)
	counter.Inc()
	_, body := s.get("/metrics")
	require.NotContains(t, body, "rollcall_test_total")
}

func TestServiceHasUsableConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, service := serveIdle(t, "backfill", f.settings)
	var _ jetstream.JetStream = service.JetStream
	sealed, err := service.Vault.Seal(t.Context(), "acme", "test", []byte("secret"))
	require.NoError(t, err)
	opened, err := service.Vault.Open(t.Context(), "acme", "test", sealed)
	require.NoError(t, err)
	require.Equal(t, "secret", string(opened))
	_, err = service.JetStream.Consumer(t.Context(), bus.StreamBackfill, bus.DurableBackfill)
	require.NoError(t, err)
}
