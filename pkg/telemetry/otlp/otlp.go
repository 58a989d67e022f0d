// Package otlp sends traces to a collector by OTLP over HTTP.
//
// It owns the set-up of the OpenTelemetry SDK: which share of the traces is sampled, what names the process, and the end. It
// promises that traces are never waited for: spans that a full queue or a collector that is down cannot take are dropped and
// counted. It makes no span: package telemetry does.
package otlp

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"

	"rollcall.dev/pkg/telemetry"
)

// Config says where traces go, and what they say of the process.
type Config struct {
	Endpoint  string  // of the collector, without /v1/traces; "" for no tracing
	Share     float64 // of the traces that begin here
	Service   string
	Instance  string
	Version   string
	Customers bool // spans have the customer's id
	Logger    *zap.Logger
	Registry  prometheus.Registerer
}

// Open returns the tracing, and what ends it: that sends what is left, for as long as its context lasts. Without an endpoint the
// tracing is nil. Headers, certificates, timeouts and compression are read from the variables OTEL_EXPORTER_OTLP_…, attributes of
// the process from OTEL_RESOURCE_ATTRIBUTES.
func Open(ctx context.Context, config Config) (tracing *telemetry.Tracing, end func(context.Context), err error) {
	if config.Endpoint == "" {
		return nil, func(context.Context) {}, nil
	}
	target, err := url.JoinPath(config.Endpoint, "v1", "traces")
	if err != nil {
		return nil, nil, fmt.Errorf("read OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	client, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target))
	if err != nil {
		return nil, nil, fmt.Errorf("open the exporter of traces: %w", err)
	}
	described, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.namespace", "rollcall"), attribute.String("service.name", "rollcall-"+config.Service),
		attribute.String("service.instance.id", config.Instance), attribute.String("service.version", config.Version),
	))
	if err != nil {
		return nil, nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(config.Share))),
		sdktrace.WithResource(described),
		sdktrace.WithBatcher(newExporter(client, config)),
	)
	return telemetry.New(provider, config.Customers), func(ctx context.Context) {
		if err := provider.Shutdown(ctx); err != nil {
			config.Logger.Warn("the last spans were not sent", zap.Error(err))
		}
	}, nil
}

// exporter counts what is sent, and logs a collector that is down once: the SDK would hand each error to a global handler.
type exporter struct {
	sdktrace.SpanExporter

	logger  *zap.Logger
	spans   *prometheus.CounterVec
	failing atomic.Bool
}

func newExporter(client sdktrace.SpanExporter, config Config) *exporter {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_trace_spans_total", Help: "Spans handed to the collector, by outcome: sent or failed.",
	}, []string{"outcome"})
	config.Registry.MustRegister(spans)
	return &exporter{SpanExporter: client, logger: config.Logger, spans: spans}
}

// ExportSpans sends spans. A failure is counted and logged, and is not an error for the SDK.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		e.spans.WithLabelValues("sent").Add(float64(len(spans)))
		if e.failing.Swap(false) {
			e.logger.Info("traces are sent again")
		}
		return nil
	}
	e.spans.WithLabelValues("failed").Add(float64(len(spans)))
	if !e.failing.Swap(true) {
		e.logger.Warn("traces are not sent", zap.Error(err))
	}
	return nil
}
