package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
)

func TestOffboardingIsPublishedWhenTheCustomersIDIsTyped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	f.answers("status", "get", always(report.Status{CustomerID: "acme"}))
	f.process.StdinTerminal = true
	for _, typed := range []string{"\n", "y\n", "globex\n"} {
		f.process.Stdin = strings.NewReader(typed)
		got := f.run("offboard", "acme")
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "not offboarded")
	}
	f.process.Stdin = strings.NewReader("acme\n")
	got := f.run("offboard", "acme", "--json")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, uint64(1), document[published](t, got).Sequence)
	message := f.message(stream, 1)
	require.Equal(t, "rollcall.onboarding.offboard.acme", message.Subject)
	require.JSONEq(t, `{"customerId":"acme"}`, string(message.Data))
}

func TestOffboardingWithoutATerminalNeedsForce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	f.answers("status", "get", always(report.Status{CustomerID: "acme"}))
	got := f.run("offboard", "acme")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.stderr, "--force")
	require.Equal(t, result{stdout: "acme: published as message 1 of ROLLCALL_ONBOARDING\n"}, f.run("offboard", "acme", "--force"))
	f.message(stream, 1)
}

func TestOffboardPublishesWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	got := f.run("offboard", "acme", "--force")
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, `whether "acme" is known could not be asked`)
	f.message(stream, 1)
}

func TestDryRunOfAnOffboardingSaysWhatGoesAndWhen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	shown := operatorapi.Offboarding{
		CustomerID: "acme", AsOf: testTime, PurgeAt: testTime.AddDate(0, 0, 30),
		AtOnce: operatorapi.OffboardingAtOnce{Credentials: []string{"destination_token", "vomo_token"}, DataKey: true, OpenRuns: 1},
		Soon: operatorapi.OffboardingSoon{
			Addresses: 1480, OpenLetters: 3, Messages: map[string]uint64{"ROLLCALL_EVENTS": 1200, "ROLLCALL_DLQ": 3},
		},
		Purge: operatorapi.OffboardingPurge{Users: 1500, SettledLetters: 2},
	}
	f.answers("offboardings", "get", always(shown))

	got := f.run("offboard", "acme", "--dry-run")

	require.Zero(t, got.code, got.stderr)
	require.Equal(t, `acme: nothing was changed; an offboarding would delete
  at once
    credentials           destination_token, vomo_token
    data key              yes: what it sealed can never be opened again
    unfinished runs       1
    unpublished messages  0
  within minutes, before a return
    addresses of users  1,480
    open dead letters   3
    active alerts       0
    messages            ROLLCALL_DLQ 3, ROLLCALL_EVENTS 1,200
  from 2026-12-20 08:00:00 UTC on
    users in the mapping  1,500
    settled dead letters  2
  stays
    audit, job log  with ids, without other personal data
`, got.stdout)
	require.Equal(t, shown, document[operatorapi.Offboarding](t, f.run("offboard", "acme", "--dry-run", "--json")))
}

func TestDryRunOfAnOffboardedCustomerSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	shown := operatorapi.Offboarding{CustomerID: "acme", PurgeAt: testTime.AddDate(0, 0, 30), OffboardedAt: &testTime, Step: new("retain")}
	f.answers("offboardings", "get", always(shown))
	require.Contains(t, f.run("offboard", "acme", "--dry-run").stdout, "acme: offboarded 2026-11-20 08:00:00 UTC; the mapping is kept; still there:\n")
}
