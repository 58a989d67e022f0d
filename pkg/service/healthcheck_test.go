package service

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

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
