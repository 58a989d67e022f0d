package retry

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
)

func TestDestinationStateTransitions(t *testing.T) {
	t.Parallel()
	failedPage := func(s destinationState) destinationState { return s.afterFailedPage() }
	probe := func(result mirror.ProbeResult) func(destinationState) destinationState {
		return func(s destinationState) destinationState { return s.afterProbe(result) }
	}
	inconclusive, rejected, accepted := probe(mirror.ProbeInconclusive), probe(mirror.ProbeRejected), probe(mirror.ProbeAccepted)
	for _, transition := range []struct {
		name     string
		from     destinationState
		event    func(destinationState) destinationState
		to       destinationState
		blameful bool
	}{
		{"unknown, failed page", destinationUnknown, failedPage, destinationSuspect, false},
		{"unknown, inconclusive probe", destinationUnknown, inconclusive, destinationUnknown, false},
		{"unknown, rejected probe", destinationUnknown, rejected, destinationAnswers, true},
		{"unknown, accepted probe", destinationUnknown, accepted, destinationAccepts, true},
		{"suspect, failed page", destinationSuspect, failedPage, destinationSuspect, false},
		{"suspect, inconclusive probe", destinationSuspect, inconclusive, destinationSuspect, false},
		{"suspect, rejected probe", destinationSuspect, rejected, destinationAnswers, true},
		{"suspect, accepted probe", destinationSuspect, accepted, destinationAccepts, true},
		{"answers, failed page", destinationAnswers, failedPage, destinationAnswers, true},
		{"answers, inconclusive probe", destinationAnswers, inconclusive, destinationAnswers, true},
		{"answers, rejected probe", destinationAnswers, rejected, destinationAnswers, true},
		{"answers, accepted probe", destinationAnswers, accepted, destinationAccepts, true},
		{"accepts, failed page", destinationAccepts, failedPage, destinationAccepts, true},
		{"accepts, inconclusive probe", destinationAccepts, inconclusive, destinationAccepts, true},
		{"accepts, rejected probe", destinationAccepts, rejected, destinationAccepts, true},
		{"accepts, accepted probe", destinationAccepts, accepted, destinationAccepts, true},
	} {
		got := transition.event(transition.from)
		require.Equal(t, transition.to, got, transition.name)
		require.Equal(t, transition.blameful, got.blamesRecords(), transition.name)
	}
}

func TestDestinationIsSuspectAfterItsHoldOrAlert(t *testing.T) {
	t.Parallel()
	require.Equal(t, destinationUnknown, destinationAtStart("", false))
	require.Equal(t, destinationUnknown, destinationAtStart("vomo_unavailable", false))
	require.Equal(t, destinationUnknown, destinationAtStart(heldProbeInconclusive, false))
	require.Equal(t, destinationSuspect, destinationAtStart("destination_down", false))
	require.Equal(t, destinationSuspect, destinationAtStart("", true))
}
