package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
)

// Span is a part of a trace. The zero Span records nothing.
type Span struct{ span trace.Span }

// Start starts a span inside ctx's. It starts none if ctx's is not sampled.
func Start(ctx context.Context, name string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name) //nolint:spancheck // the caller ends it
	return ctx, Span{span}                                              //nolint:spancheck // the caller ends it
}

// StartRequest starts the span of a request to another system.
func StartRequest(ctx context.Context, name string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient)) //nolint:spancheck // the caller ends it
	return ctx, Span{span}                                                                                        //nolint:spancheck // the caller ends it
}

// Set adds attributes.
func (s Span) Set(attributes ...Attribute) {
	if s.span != nil && s.span.IsRecording() {
		s.span.SetAttributes(attributes...)
	}
}

// Recording reports whether the span is sampled.
func (s Span) Recording() bool { return s.span != nil && s.span.IsRecording() }

// End ends the span. Of an error it says the code and not the text.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil && s.span.IsRecording() {
		code := fault.CodeOf(err)
		s.span.SetAttributes(keyErrorType.String(code))
		s.span.SetStatus(codes.Error, code)
	}
	s.span.End()
}

// LogFields returns the fields of log lines that belong to ctx's span; none if it is not sampled.
func LogFields(ctx context.Context) []zap.Field {
	current := trace.SpanContextFromContext(ctx)
	if !current.IsSampled() {
		return nil
	}
	return []zap.Field{zap.String("trace_id", current.TraceID().String()), zap.String("span_id", current.SpanID().String())}
}
