package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// givingStatus is the status of a customer with Virtuous alone.
func givingStatus() report.Status {
	return report.Status{
		CustomerID: "acme", AsOf: testTime, Integration: report.Integration{Enabled: true, OnboardedAt: testTime},
		Giving: report.Giving{Enabled: true, OnboardedAt: &testTime},
	}
}

func TestReconcileNowPublishesARequestForEachCategoryOfGiving(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.stream(bus.StreamReconcile)
	f.answers("status", "get", always(givingStatus()))
	for _, category := range bus.GivingCategories() {
		got := f.run("reconcile", "now", "acme", "--category", category)
		require.Zero(t, got.code, got.stderr)
		message, err := stream.GetLastMsgForSubject(t.Context(), bus.SubjectReconcile(category, "acme"))
		require.NoError(t, err)
		require.JSONEq(t, `{"customerId":"acme"}`, string(message.Data))
		require.Equal(t, exitUsage, f.run("reconcile", "now", "acme", "--category", category, "--wait").code)
	}
}

func TestReconcileNowSaysWhyACategoryOfGivingIsNotWorked(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		change   func(*report.Status)
		said     string
		noReport bool
	}{
		"without giving": {func(s *report.Status) { s.Giving = report.Giving{} }, "has no giving", true},
		"removed": {
			func(s *report.Status) { s.Giving.Enabled, s.Giving.DisabledReason = false, new(store.GivingRemoved) }, "was removed", true,
		},
		"rejected key": {
			func(s *report.Status) { s.Giving.Enabled, s.Giving.DisabledReason = false, new(store.GivingAuthFailed) }, "is switched off", false,
		},
		"paused": {func(s *report.Status) { s.Integration.PausedAt = &testTime }, "rollcall resume acme", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.stream(bus.StreamReconcile)
			status := givingStatus()
			one.change(&status)
			f.answers("status", "get", always(status))
			got := f.run("reconcile", "now", "acme", "--category", "stuck")
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.stderr, one.said)
			require.Equal(t, one.noReport, f.run("reconcile", "now", "acme", "--category", "report").code == exitFailed)
		})
	}
}
