package otlp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/telemetry/otlp"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSpansAreSentBeforeTheEnd(t *testing.T) {
	t.Parallel()
	collector := testkit.Collector(t)
	registry := prometheus.NewRegistry()
	tracing, end, err := otlp.Open(t.Context(), otlp.Config{
		Endpoint: collector.URL, Share: 1, Service: "backfill", Instance: "a", Version: "1", Logger: zap.NewNop(), Registry: registry,
	})
	require.NoError(t, err)
	_, span := tracing.Begin(t.Context(), telemetry.SpanRun("backfill"), "acme")
	span.End(nil)
	end(t.Context())
	require.Len(t, collector.Named("run backfill"), 1)
	require.Equal(t, "rollcall-backfill", collector.Spans()[0].Service)
	require.NoError(t, testutil.GatherAndCompare(registry, metricsText(`sent`)))
}

func TestCollectorThatRejectsSpansIsLoggedOnceAndStopsNothing(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	t.Cleanup(server.Close)
	core, logs := observer.New(zap.WarnLevel)
	registry := prometheus.NewRegistry()
	tracing, end, err := otlp.Open(t.Context(), otlp.Config{
		Endpoint: server.URL, Share: 1, Service: "backfill", Logger: zap.New(core), Registry: registry,
	})
	require.NoError(t, err)
	_, span := tracing.Begin(t.Context(), telemetry.SpanRun("backfill"), "acme")
	span.End(nil)
	end(context.WithoutCancel(t.Context()))
	require.Equal(t, 1, logs.FilterMessage("traces are not sent").Len())
	require.NoError(t, testutil.GatherAndCompare(registry, metricsText(`failed`)))
}

func TestNoEndpointTracesNothing(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	tracing, end, err := otlp.Open(t.Context(), otlp.Config{Registry: registry})
	require.NoError(t, err)
	require.Nil(t, tracing)
	end(t.Context())
	found, err := registry.Gather()
	require.NoError(t, err)
	require.Empty(t, found)
}

func metricsText(outcome string) *strings.Reader {
	return strings.NewReader(`# HELP rollcall_trace_spans_total Spans handed to the collector, by outcome: sent or failed.
# TYPE rollcall_trace_spans_total counter
rollcall_trace_spans_total{outcome="` + outcome + `"} 1
`)
}
