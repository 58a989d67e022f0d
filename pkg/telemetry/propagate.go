package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"net/textproto"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// HeaderTraceParent is the W3C header in which a trace passes from one process to the next.
const HeaderTraceParent = "traceparent"

const (
	traceIDBytes = 16
	spanIDBytes  = 8
)

// TraceParent returns the W3C traceparent of ctx's span, for a row that is worked later. Without a span it is that of a new trace,
// which is sampled as any other if ctx has a Tracing, and otherwise is not.
func TraceParent(ctx context.Context) string {
	if current := trace.SpanContextFromContext(ctx); current.IsValid() {
		return format(current)
	}
	if tracing, ok := ctx.Value(tracingKey{}).(*Tracing); ok {
		return tracing.create(ctx)
	}
	return newTraceParent()
}

// Sampled returns the traceparent of ctx's span if it is sampled, "" otherwise.
func Sampled(ctx context.Context) string {
	current := trace.SpanContextFromContext(ctx)
	if !current.IsSampled() {
		return ""
	}
	return format(current)
}

// Inject puts ctx's span into headers, if it is sampled.
func Inject(ctx context.Context, headers map[string]string) {
	if parent := Sampled(ctx); parent != "" {
		headers[HeaderTraceParent] = parent
	}
}

// InjectMissing returns headers with ctx's span, if it is sampled and headers name no trace. It does not change headers.
func InjectMissing(ctx context.Context, headers map[string]string) map[string]string {
	parent := Sampled(ctx)
	if parent == "" || headers[HeaderTraceParent] != "" {
		return headers
	}
	injected := make(map[string]string, len(headers)+1)
	maps.Copy(injected, headers)
	injected[HeaderTraceParent] = parent
	return injected
}

// HeaderOf returns the headers of a message about a row with this trace.
func HeaderOf(stored string) map[string]string {
	if stored == "" {
		return nil
	}
	return map[string]string{HeaderTraceParent: stored}
}

// format writes a traceparent. The flags say only whether the trace is sampled.
func format(of trace.SpanContext) string {
	flags := "-00"
	if of.IsSampled() {
		flags = "-01"
	}
	return "00-" + of.TraceID().String() + "-" + of.SpanID().String() + flags
}

func newTraceParent() string {
	var ids [traceIDBytes + spanIDBytes]byte
	_, _ = rand.Read(ids[:]) // never fails
	return "00-" + hex.EncodeToString(ids[:traceIDBytes]) + "-" + hex.EncodeToString(ids[traceIDBytes:]) + "-00"
}

// parse reads a traceparent; the result is not valid if it is none.
func parse(traceParent string) trace.SpanContext {
	if traceParent == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{HeaderTraceParent: traceParent})
	return trace.SpanContextFromContext(ctx)
}

// fromHeader reads the traceparent of a message. Others write the name of the header as HTTP does.
func fromHeader(header map[string][]string) trace.SpanContext {
	for _, name := range []string{HeaderTraceParent, textproto.CanonicalMIMEHeaderKey(HeaderTraceParent)} {
		if values := header[name]; len(values) > 0 {
			return parse(strings.TrimSpace(values[0]))
		}
	}
	return trace.SpanContext{}
}

func withRemote(ctx context.Context, remote trace.SpanContext) context.Context {
	if !remote.IsValid() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, remote)
}
