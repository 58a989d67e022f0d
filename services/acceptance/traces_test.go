package acceptance_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

func TestTraceGoesFromOnboardingMessageToWritesAndCommits(t *testing.T) {
	t.Parallel()
	collector := testkit.Collector(t)
	f := newFixture(t, fast)
	f.env["OTEL_EXPORTER_OTLP_ENDPOINT"], f.env["OTEL_TRACES_SAMPLER_ARG"] = collector.URL, "1"
	f.organisation("acme", 60)
	onboarding, backfill := f.start(programOnboarding), f.start(programBackfill)
	f.onboard("acme")
	f.awaitState("acme", "completed", soon)
	f.requireMirrored("acme", 60)
	require.Zero(t, backfill.Stop()) // what is left is sent before the end
	require.Zero(t, onboarding.Stop())

	toRun := []string{
		"process rollcall.onboarding.request", "settle onboarding request", "send rollcall.backfill.request", "process rollcall.backfill.request", "run backfill",
	}
	pages := collector.Named("page")
	require.GreaterOrEqual(t, len(pages), 2)
	for _, page := range pages {
		require.Equal(t, append(slices.Clip(toRun), "page"), collector.PathTo(t, page))
		require.Equal(t, "rollcall-backfill", page.Service)
	}
	for _, name := range []string{"compare page", "write record", "commit page"} {
		found := collector.Named(name)
		require.NotEmpty(t, found, name)
		for _, span := range found {
			require.Equal(t, append(slices.Clip(toRun), "page", name), collector.PathTo(t, span))
			require.Equal(t, pages[0].Trace, span.Trace)
		}
	}
	for _, span := range collector.Named("read page") {
		require.Subset(t, append(toRun, "read page"), collector.PathTo(t, span))
	}
	for _, span := range collector.Spans() {
		require.False(t, span.Error, span.Text)
		for _, secret := range []string{"acme", "token", "@", "example"} {
			require.NotContains(t, span.Text, secret)
		}
	}
	require.Contains(t, f.logs(), `"trace_id":"`+pages[0].Trace+`"`)
}
