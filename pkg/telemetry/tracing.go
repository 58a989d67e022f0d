package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// scope names the code that makes the spans.
const scope = "rollcall.dev/pkg/telemetry"

// Tracing begins traces, and goes on with those of messages and rows. A nil *Tracing traces nothing.
type Tracing struct {
	tracer    trace.Tracer
	customers bool
}

// New returns the tracing of a provider; customers says whether spans have the customer's id.
func New(provider trace.TracerProvider, customers bool) *Tracing {
	return &Tracing{tracer: provider.Tracer(scope), customers: customers}
}

// Begin starts a span in ctx's trace, or in a new one.
func (t *Tracing) Begin(ctx context.Context, name, customer string, attributes ...Attribute) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, name, customer, trace.SpanKindInternal, nil, attributes)
}

// Answer starts the span of a question that came with these headers.
func (t *Tracing) Answer(ctx context.Context, name string, header map[string][]string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(withRemote(ctx, fromHeader(header)), SpanAPI(name), "", trace.SpanKindServer, nil, nil)
}

// Continue starts a span in a stored trace. If ctx is in another trace, the span has a link to it: a message asked for the work of
// a row.
func (t *Tracing) Continue(ctx context.Context, stored, name, customer string, attributes ...Attribute) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	current, remote := trace.SpanContextFromContext(ctx), parse(stored)
	var links []trace.Link
	if remote.IsValid() && current.TraceID() != remote.TraceID() {
		if current.IsSampled() {
			links = []trace.Link{{SpanContext: current}}
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, remote)
	}
	return t.start(ctx, name, customer, trace.SpanKindInternal, links, attributes)
}

// Process starts the span of a delivered message.
func (t *Tracing) Process(ctx context.Context, consumer, subject string, header map[string][]string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(withRemote(ctx, fromHeader(header)), operationProcess+" "+destinationOf(subject), "", trace.SpanKindConsumer, nil,
		messaging(operationProcess, subject, keyConsumer.String(consumer)))
}

// Send starts the span of a message that is published with these headers, and puts it into them. Headers without a sampled
// trace stay as they are.
func (t *Tracing) Send(ctx context.Context, subject string, headers map[string]string) Span {
	if t == nil {
		return Span{}
	}
	remote := parse(headers[HeaderTraceParent])
	if !remote.IsSampled() {
		return Span{}
	}
	ctx, span := t.start(trace.ContextWithRemoteSpanContext(ctx, remote), operationSend+" "+destinationOf(subject), "", trace.SpanKindProducer, nil,
		messaging(operationSend, subject))
	Inject(ctx, headers)
	return span
}

type tracingKey struct{}

// Into returns ctx with the tracing, for TraceParent.
func (t *Tracing) Into(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return context.WithValue(ctx, tracingKey{}, t)
}

// create begins the trace of something that is worked later, such as a run that is due.
func (t *Tracing) create(ctx context.Context) string {
	ctx, span := t.start(ctx, spanCreate, "", trace.SpanKindProducer, nil, nil)
	defer span.End(nil)
	return format(trace.SpanContextFromContext(ctx))
}

func (t *Tracing) start(ctx context.Context, name, customer string, kind trace.SpanKind, links []trace.Link, attributes []Attribute,
) (context.Context, Span) {
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithLinks(links...))
	if span.IsRecording() {
		span.SetAttributes(attributes...)
		if t.customers && customer != "" {
			span.SetAttributes(keyCustomer.String(customer))
		}
	}
	return ctx, Span{span}
}
