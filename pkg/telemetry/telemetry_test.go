package telemetry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/telemetry"
)

func newTracing(share float64, customers bool) (*telemetry.Tracing, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share))), sdktrace.WithSpanProcessor(recorder))
	return telemetry.New(provider, customers), recorder
}

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestMessageGoesOnWithTraceOfItsHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"traceparent", "Traceparent"} {
		tracing, recorder := newTracing(0, false)
		ctx, span := tracing.Process(t.Context(), "backfill", "rollcall.backfill.request.acme", map[string][]string{name: {sampled}})
		inner, child := telemetry.Start(ctx, telemetry.SpanPage)
		child.End(nil)
		span.End(nil)
		ended := recorder.Ended()
		require.Len(t, ended, 2)
		require.Equal(t, "process rollcall.backfill.request", ended[1].Name())
		require.Equal(t, "b7ad6b7169203331", ended[1].Parent().SpanID().String())
		require.Equal(t, ended[1].SpanContext().SpanID(), ended[0].Parent().SpanID())
		require.Contains(t, telemetry.TraceParent(inner), "00-0af7651916cd43dd8448eb211c80319c-")
		require.Len(t, telemetry.LogFields(inner), 2)
	}
}

func TestTraceThatIsNotSampledMakesNoSpanAndKeepsItsID(t *testing.T) {
	t.Parallel()
	tracing, recorder := newTracing(1, false)
	ctx, span := tracing.Continue(t.Context(), unsampled, telemetry.SpanRun("poll"), "acme")
	_, child := telemetry.Start(ctx, telemetry.SpanPage)
	child.End(nil)
	span.End(nil)
	require.Empty(t, recorder.Ended())
	require.Regexp(t, "^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$", telemetry.TraceParent(ctx))
	require.Empty(t, telemetry.Sampled(ctx))
	require.Empty(t, telemetry.LogFields(ctx))
	require.Nil(t, telemetry.InjectMissing(ctx, nil))
}

func TestWorkOfStoredTraceHasLinkToMessageOfAnotherTrace(t *testing.T) {
	t.Parallel()
	tracing, recorder := newTracing(1, false)
	ctx, message := tracing.Process(t.Context(), "backfill", "rollcall.backfill.request.acme", nil)
	_, run := tracing.Continue(ctx, sampled, telemetry.SpanRun("backfill"), "acme")
	run.End(nil)
	message.End(nil)
	ended := recorder.Ended()
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", ended[0].SpanContext().TraceID().String())
	require.Len(t, ended[0].Links(), 1)
	require.Equal(t, ended[1].SpanContext().SpanID(), ended[0].Links()[0].SpanContext.SpanID())
}

func TestPublishedMessageCarriesSpanOfItsSending(t *testing.T) {
	t.Parallel()
	tracing, recorder := newTracing(0, false)
	headers := map[string]string{"traceparent": sampled}
	tracing.Send(t.Context(), "rollcall.events.user.created.acme", headers).End(nil)
	ended := recorder.Ended()
	require.Len(t, ended, 1)
	require.Equal(t, "send rollcall.events.user", ended[0].Name())
	require.Contains(t, headers["traceparent"], ended[0].SpanContext().SpanID().String())

	same := map[string]string{"traceparent": unsampled}
	tracing.Send(t.Context(), "rollcall.events.user.created.acme", same).End(nil)
	require.Equal(t, unsampled, same["traceparent"])
	require.Len(t, recorder.Ended(), 1)
}

func TestCustomerAndTextOfErrorAreInNoSpan(t *testing.T) {
	t.Parallel()
	for _, customers := range []bool{false, true} {
		tracing, recorder := newTracing(1, customers)
		_, span := tracing.Begin(t.Context(), telemetry.SpanRound("dlq_retry"), "acme")
		span.End(fault.Permanent("vomo_rejected", errors.New("user ann@example.org")))
		attributes := map[string]string{}
		for _, attribute := range recorder.Ended()[0].Attributes() {
			attributes[string(attribute.Key)] = attribute.Value.String()
		}
		expected := map[string]string{"error.type": "vomo_rejected"}
		if customers {
			expected["rollcall.customer"] = "acme"
		}
		require.Equal(t, expected, attributes)
		require.Equal(t, "vomo_rejected", recorder.Ended()[0].Status().Description)
		require.Empty(t, recorder.Ended()[0].Events())
	}
}

func TestRowOfNewWorkIsSampledByTracingOfContext(t *testing.T) {
	t.Parallel()
	require.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$", telemetry.TraceParent(t.Context()))
	tracing, recorder := newTracing(1, false)
	require.Regexp(t, "-01$", telemetry.TraceParent(tracing.Into(t.Context())))
	require.Len(t, recorder.Ended(), 1)
	never, recorder := newTracing(0, false)
	require.Regexp(t, "-00$", telemetry.TraceParent(never.Into(t.Context())))
	require.Empty(t, recorder.Ended())
}

func TestNoTracingLeavesContextAsItIs(t *testing.T) {
	t.Parallel()
	var off *telemetry.Tracing
	ctx := t.Context()
	for _, start := range []func() (context.Context, telemetry.Span){
		func() (context.Context, telemetry.Span) { return off.Begin(ctx, "x", "acme") },
		func() (context.Context, telemetry.Span) { return off.Continue(ctx, sampled, "x", "acme") },
		func() (context.Context, telemetry.Span) { return off.Process(ctx, "backfill", "a.b.c.d", nil) },
		func() (context.Context, telemetry.Span) { return off.Answer(ctx, "x", nil) },
		func() (context.Context, telemetry.Span) { return telemetry.Start(ctx, "x") },
	} {
		same, span := start()
		require.Equal(t, ctx, same)
		span.Set(telemetry.Page(1))
		span.End(errors.New("x"))
	}
	require.Equal(t, ctx, off.Into(ctx))
}

// What a page and its writes cost if nothing is traced: a span for each of them, and none is made.
func BenchmarkSpanWhenNothingIsTraced(b *testing.B) {
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_, span := telemetry.StartRequest(ctx, telemetry.SpanWriteRecord)
		span.End(nil)
	}
}

func BenchmarkSpanOfTraceThatIsNotSampled(b *testing.B) {
	tracing, _ := newTracing(0, false)
	ctx, _ := tracing.Begin(b.Context(), telemetry.SpanRun("backfill"), "acme")
	b.ReportAllocs()
	for b.Loop() {
		_, span := telemetry.StartRequest(ctx, telemetry.SpanWriteRecord)
		span.End(nil)
	}
}
