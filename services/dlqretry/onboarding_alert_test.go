package main

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
)

// onboardingAlerts are the standing and the cleared alerts of acme's onboarding letters.
const onboardingAlerts = `SELECT count(*) FILTER (WHERE cleared_at IS NULL) || ' standing, ' || count(*) FILTER (WHERE cleared_at IS NOT NULL) || ' cleared'
	FROM alerts WHERE type = 'onboarding_letter' AND customer_id = 'acme'`

func TestTheAlertOfOnboardingLettersIsClearedWithTheLastOfThem(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.messageLetter(t, bus.SubjectPoll("acme"), `{}`, 7)
	require.Equal(t, "0 standing, 0 cleared", value[string](t, d, onboardingAlerts), "a poll's letter is none of these")
	redriven := d.messageLetter(t, bus.SubjectOnboard("acme"), `{}`, 8)
	acked := d.messageLetter(t, bus.SubjectOffboard("acme"), `{}`, 9)
	require.Equal(t, "1 standing, 0 cleared", value[string](t, d, onboardingAlerts))

	require.NoError(t, d.redrive.redriveMessage(t.Context(), redriven))

	require.Equal(t, "1 standing, 0 cleared", value[string](t, d, onboardingAlerts))
	d.read(t, bus.StreamAdvisories, bus.DurableAdvisories, d.told.handle)
	start(t, d.follow.run)
	reviewing, err := d.js.Consumer(t.Context(), bus.StreamDLQ, bus.DurableDLQReview)
	require.NoError(t, err)
	for range 2 {
		msg, err := reviewing.Next(jetstream.FetchMaxWait(within))
		require.NoError(t, err)
		if msg.Headers().Get(bus.HeaderLetterID) == acked.String() {
			require.NoError(t, msg.DoubleAck(t.Context()))
		}
	}
	require.Eventually(t, func() bool { return d.state(t, acked) == "by_hand" }, within, 10*time.Millisecond)
	require.Equal(t, "0 standing, 1 cleared", value[string](t, d, onboardingAlerts))

	last := d.messageLetter(t, bus.SubjectOffboard("acme"), `{}`, 10)
	require.Equal(t, "1 standing, 1 cleared", value[string](t, d, onboardingAlerts))
	require.NoError(t, d.redrive.redriveMessage(t.Context(), last))
	require.Equal(t, "0 standing, 2 cleared", value[string](t, d, onboardingAlerts))
}

func TestDiscardingTheLastOnboardingLetterClearsItsAlert(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.message(1, "acme", time.Hour, `{}`)
	o.message(2, "acme", 2*time.Hour, `{}`)
	o.record(3, "acme", time.Hour)
	o.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'onboarding_letter', 'high', rollcall_now())`)
	discard := func(id string) {
		answered[report.LettersDone](o, "discard", report.LettersCommand{LettersFilter: report.LettersFilter{IDs: []string{id}}})
	}
	discard("00000003")
	discard("00000001")
	require.Equal(t, []string{"1 standing, 0 cleared"}, column[string](o, onboardingAlerts))
	discard("00000002")
	require.Equal(t, []string{"0 standing, 1 cleared"}, column[string](o, onboardingAlerts))
}
