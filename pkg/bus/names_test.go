package bus_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestSubjects(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"rollcall.onboarding.request.acme":          bus.SubjectOnboard("acme"),
		"rollcall.onboarding.offboard.acme":         bus.SubjectOffboard("acme"),
		"rollcall.backfill.request.acme":            bus.SubjectBackfill("acme"),
		"rollcall.donations.submit.acme":            bus.SubjectDonation("acme"),
		"rollcall.donations.contact.acme":           bus.SubjectContact("acme"),
		"rollcall.giving.applied.acme":              bus.SubjectApplied("acme"),
		"rollcall.webhooks.virtuous.acme":           bus.SubjectWebhooks("acme"),
		"rollcall.events.onboarding.completed.acme": bus.SubjectEvent("onboarding.completed", "acme"),
		"rollcall.alerts.high.destination_down.a-b": bus.SubjectAlert("high", "destination_down", "a-b"),
		"rollcall.dlq.retry.user.acme.1f0c":         bus.LetterSubject{Waiting: true, Kind: "user", Customer: "acme", Letter: "1f0c"}.String(),
		"rollcall.dlq.review.message._unknown.1f0c": bus.LetterSubject{Kind: "message", Customer: "_unknown", Letter: "1f0c"}.String(),
	} {
		require.Equal(t, want, got)
	}
}

func TestCustomerIsLastTokenOfSubject(t *testing.T) {
	t.Parallel()
	require.Equal(t, "acme_1", bus.CustomerOf("rollcall.onboarding.request.acme_1"))
	require.Equal(t, "alone", bus.CustomerOf("alone"))
	require.Empty(t, bus.CustomerOf("ends.in."))
}

func TestIsOffboardDistinguishesOffboardFromOnboard(t *testing.T) {
	t.Parallel()
	require.True(t, bus.IsOffboard(bus.SubjectOffboard("acme")))
	require.False(t, bus.IsOffboard(bus.SubjectOnboard("offboard")))
}

func TestOnlyPollsCoalesce(t *testing.T) {
	t.Parallel()
	require.True(t, bus.Coalesces("rollcall.poll.request.acme"))
	for _, subject := range []string{bus.SubjectBackfill("acme"), "rollcall.reconcile.stuck.acme", bus.SubjectOnboard("acme")} {
		require.False(t, bus.Coalesces(subject), subject)
	}
}
